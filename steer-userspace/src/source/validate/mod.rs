//! What Istio's webhook would refuse, and what it would warn of.

mod checks;
mod destination_rule;
mod virtual_service;

pub use destination_rule::destination_rule;
pub use virtual_service::virtual_service;
