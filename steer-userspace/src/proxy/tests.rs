//! The proxy over loopback: real clients, real servers, no other namespace.

mod answers;
mod cors;
mod downgrade;
mod edge;
mod faults;
mod floods;
mod frames;
mod ground;
mod h1;
mod h2;
mod h2_fields;
mod h2_frames;
mod log;
mod mirror;
mod smuggling;
mod tap;
