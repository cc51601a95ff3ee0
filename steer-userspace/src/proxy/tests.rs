//! The proxy over loopback: real clients, real servers, no other namespace.

mod edge;
mod ground;
mod h1;
mod h2;
mod log;
mod mirror;
mod strict;
mod tap;
