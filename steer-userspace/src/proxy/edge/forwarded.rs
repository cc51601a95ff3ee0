//! What endpoints are told of the client, as Envoy does it at the edge. What clients say of it
//! themselves is not believed, but for the list that each hop adds itself to.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const EXTERNAL: HeaderName = HeaderName::from_static("x-envoy-external-address");
const INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");

/// What only the mesh may say.
const OF_THE_MESH: [&str; 12] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// Notes who sent a request, and how.
pub(super) fn note(headers: &mut HeaderMap, client: IpAddr, scheme: &'static str) {
    let known = headers.get_all(FOR).iter();
    let known = known.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut list: Vec<String> = known.collect();
    let internal = is_private(client) && list.is_empty();
    list.push(client.to_string());
    for name in OF_THE_MESH {
        headers.remove(name);
    }
    headers.remove(EXTERNAL);
    headers.remove(INTERNAL);
    if let Ok(list) = HeaderValue::from_str(&list.join(",")) {
        headers.insert(FOR, list);
    } else {
        headers.remove(FOR);
    }
    headers.insert(PROTO, HeaderValue::from_static(scheme));
    if internal {
        headers.insert(INTERNAL, HeaderValue::from_static("true"));
    } else if let Ok(address) = HeaderValue::from_str(&client.to_string()) {
        headers.insert(EXTERNAL, address);
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(client: &str, said: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_static(value));
        }
        note(&mut headers, client.parse().unwrap(), "https");
        let pairs = headers.iter();
        let mut all: Vec<String> = pairs
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_client_of_outside_is_named_and_believed_nothing() {
        let said = [
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-proto", "http"),
            ("x-envoy-external-address", "192.0.2.9"),
            ("x-envoy-internal", "true"),
            ("x-envoy-retry-on", "5xx"),
            ("accept", "*/*"),
        ];
        let expected = [
            "accept: */*",
            "x-envoy-external-address: 203.0.113.7",
            "x-forwarded-for: 192.0.2.9,203.0.113.7",
            "x-forwarded-proto: https",
        ];
        assert_eq!(told("203.0.113.7", &said), expected);
    }

    #[test]
    fn a_client_of_a_private_network_is_internal() {
        let expected = [
            "x-envoy-internal: true",
            "x-forwarded-for: fd00::7",
            "x-forwarded-proto: https",
        ];
        assert_eq!(told("fd00::7", &[]), expected);
    }
}
