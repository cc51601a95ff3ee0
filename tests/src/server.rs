//! Real servers, started on hosts of a lab.

pub mod api;
pub mod authority;
pub mod dns;
pub mod elsewhere;
pub mod http;
pub mod identity;
pub mod names;
