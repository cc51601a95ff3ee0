//! EndpointSlice, as far as an API server would refuse it and steering depends on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{checks::Checks, service::protocol};
use crate::source::{core::EndpointSlice, object::Meta};

/// What is wrong with an EndpointSlice.
pub fn endpoint_slice(_: &Meta, slice: &EndpointSlice) -> Checks {
    let mut checks = Checks::default();
    let kind = slice.address_type.as_str();
    checks.one_of("addressType", Some(kind), &["IPv4", "IPv6", "FQDN"]);
    let fits = |text: &str| match kind {
        "IPv4" => text.parse::<Ipv4Addr>().is_ok(),
        "IPv6" => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    };
    for (index, endpoint) in slice.endpoints.iter().enumerate() {
        let field = format!("endpoints[{index}].addresses");
        if endpoint.addresses.is_empty() {
            checks.error(&field, "an address is missing", "write one");
        }
        for (index, text) in endpoint.addresses.iter().enumerate() {
            if !fits(text) {
                let message = format!("{text:?} is not an {kind} address");
                checks.error(format!("{field}[{index}]"), message, "mend it");
            }
        }
    }
    for (index, port) in slice.ports.iter().enumerate() {
        let field = format!("ports[{index}]");
        if port.port == Some(0) {
            checks.error(format!("{field}.port"), "0 is no port", "mend the number");
        }
        protocol(
            &mut checks,
            &format!("{field}.protocol"),
            port.protocol.as_deref(),
        );
    }
    checks
}
