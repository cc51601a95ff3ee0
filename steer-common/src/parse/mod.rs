//! What is read from packets. The kernel programs and the tests run the same functions: loops are
//! driven from outside, one bounded step at a time, and nothing here can panic.

pub mod dns;
pub mod hello;
mod http;
pub mod packet;
pub mod requests;
pub mod reset;
pub mod reversed;
mod tls;
