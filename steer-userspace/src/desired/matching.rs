//! Matches: the part that is known before a byte is sent, and the part that only requests show.

use std::net::IpAddr;

use super::{client::Client, host};
use crate::source::{
    istio::{HttpMatch, L4Match, StringMatch, TlsMatch},
    subnet::Subnet,
};

/// Keys under `headers` that Istio does not look at: they have fields of their own.
pub const RESERVED_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];

/// Whether the known part of an `http` match of a resource of `namespace` holds. With `gateways` of its own, an entry is not
/// asked for the client's traits.
pub fn http_holds(one: &HttpMatch, client: &Client<'_>, port: u16, namespace: &str) -> bool {
    if !port_holds(one.port, port) {
        return false;
    }
    if !one.gateways.is_empty() {
        return client.is_bound(&one.gateways, namespace);
    }
    source_holds(client, one.source_namespace.as_deref()) && client.has(&one.source_labels)
}

/// Whether the known part of a `tcp` match holds, but for its subnets.
pub fn tcp_holds(one: &L4Match, client: &Client<'_>, port: u16, namespace: &str) -> bool {
    port_holds(one.port, port)
        && (one.gateways.is_empty() || client.is_bound(&one.gateways, namespace))
        && source_holds(client, one.source_namespace.as_deref())
        && client.has(&one.source_labels)
}

/// Whether the known part of a `tls` match holds, but for its subnets and names.
pub fn tls_holds(one: &TlsMatch, client: &Client<'_>, port: u16, namespace: &str) -> bool {
    port_holds(one.port, port)
        && (one.gateways.is_empty() || client.is_bound(&one.gateways, namespace))
        && source_holds(client, one.source_namespace.as_deref())
        && client.has(&one.source_labels)
}

fn port_holds(wanted: Option<u32>, port: u16) -> bool {
    wanted.is_none_or(|wanted| wanted == 0 || wanted == u32::from(port))
}

fn source_holds(client: &Client<'_>, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| namespace.is_empty() || client.is_in(namespace))
}

/// The fields of an `http` match that only requests show; none means that it takes everything.
pub fn request_fields(one: &HttpMatch) -> Vec<&'static str> {
    let named = [
        (
            "uri",
            one.uri.as_ref().is_some_and(|uri| !takes_every_path(uri)),
        ),
        ("scheme", one.scheme.is_some()),
        ("method", one.method.is_some()),
        ("authority", one.authority.is_some()),
        (
            "headers",
            one.headers
                .keys()
                .any(|key| !RESERVED_HEADERS.contains(&key.as_str())),
        ),
        ("withoutHeaders", !one.without_headers.is_empty()),
        ("queryParams", !one.query_params.is_empty()),
    ];
    named
        .into_iter()
        .filter_map(|(field, asked)| asked.then_some(field))
        .collect()
}

/// Whether a match needs requests to be read.
pub fn needs_requests(one: &HttpMatch) -> bool {
    !request_fields(one).is_empty()
}

fn takes_every_path(uri: &StringMatch) -> bool {
    match (&uri.exact, &uri.prefix, &uri.regex) {
        (None, Some(prefix), None) => prefix.is_empty() || prefix == "/",
        (None, None, Some(regex)) => regex == ".*" || regex == "*",
        (None, None, None) => true,
        _ => false,
    }
}

/// Whether one of these SNI patterns takes one of the names.
pub fn sni_takes(patterns: &[String], names: &[String]) -> bool {
    let takes = |pattern: &String| names.iter().any(|name| host::covers(pattern, name));
    patterns.iter().any(takes)
}

/// How subnets relate to the addresses of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// No address is in them.
    None,
    /// Some are.
    Some,
    /// All are, or there are no subnets.
    All,
}

/// Which of `addresses` are in `subnets`.
pub fn coverage(subnets: &[String], addresses: &[IpAddr]) -> Coverage {
    if subnets.is_empty() {
        return Coverage::All;
    }
    let subnets: Vec<Subnet> = subnets
        .iter()
        .filter_map(|text| Subnet::parse(text))
        .collect();
    let covered = |address: &&IpAddr| subnets.iter().any(|subnet| subnet.contains(**address));
    match addresses.iter().filter(covered).count() {
        0 => Coverage::None,
        count if count == addresses.len() => Coverage::All,
        _ => Coverage::Some,
    }
}

#[cfg(test)]
mod tests;
