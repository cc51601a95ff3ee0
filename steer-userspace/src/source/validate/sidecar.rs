//! Sidecar, as Istio's webhook sees it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    checks::Checks,
    destinations::destination,
    names::{is_label, wildcard_domain},
    traffic_policy::connection_pool,
};
use crate::source::{
    istio::{Egress, Ingress, ListenerPort, OutboundTrafficPolicy, ServerTls, Sidecar},
    object::Meta,
};

/// What is wrong with a Sidecar.
pub fn sidecar(_: &Meta, spec: &Sidecar) -> Checks {
    let mut checks = Checks::default();
    if let Some(selector) = &spec.workload_selector {
        let field = "spec.workloadSelector";
        if selector.labels.is_empty() {
            checks.warn(field, "it selects every workload", "leave it out");
        }
        checks.labels(&format!("{field}.labels"), &selector.labels);
    }
    let says_nothing = spec.ingress.is_empty()
        && spec.egress.is_empty()
        && spec.outbound_traffic_policy.is_none()
        && spec.inbound_connection_pool.is_none();
    if says_nothing {
        let help = "give it egress, ingress or outboundTrafficPolicy";
        checks.error("spec", "it says nothing", help);
    }
    if let Some(pool) = &spec.inbound_connection_pool {
        connection_pool(&mut checks, "spec.inboundConnectionPool", pool);
    }
    let mut numbers = BTreeSet::new();
    for (index, found) in spec.ingress.iter().enumerate() {
        let field = format!("spec.ingress[{index}]");
        ingress(&mut checks, &field, found);
        let number = found.port.as_ref().map(|port| port.number);
        if number.is_some_and(|number| !numbers.insert(number)) {
            let message = "the port is there twice";
            checks.error(format!("{field}.port.number"), message, "remove one");
        }
    }
    let last = spec.egress.len().saturating_sub(1);
    for (index, found) in spec.egress.iter().enumerate() {
        let field = format!("spec.egress[{index}]");
        egress(&mut checks, &field, found);
        if found.port.is_none() && index < last {
            let message = "one without a port takes all ports";
            checks.error(&field, message, "make it the last one");
        }
    }
    if let Some(policy) = &spec.outbound_traffic_policy {
        outbound(&mut checks, "spec.outboundTrafficPolicy", policy);
    }
    checks
}

/// `outboundTrafficPolicy`, of a Sidecar or of the mesh.
pub(super) fn outbound(checks: &mut Checks, field: &str, policy: &OutboundTrafficPolicy) {
    let modes = ["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"];
    checks.one_of(&format!("{field}.mode"), policy.mode.as_deref(), &modes);
    let Some(proxy) = &policy.egress_proxy else {
        return;
    };
    let field = format!("{field}.egressProxy");
    if policy.mode.as_deref() != Some("ALLOW_ANY") {
        let message = "it needs mode ALLOW_ANY";
        checks.error(&field, message, "set the mode, or leave it out");
    }
    if proxy.port.is_none() {
        checks.error(format!("{field}.port"), "a port is missing", "write one");
    }
    destination(checks, &field, proxy);
}

fn is_socket(bind: &str) -> bool {
    bind.starts_with("unix://")
}

pub(super) fn bind(checks: &mut Checks, field: &str, bind: Option<&str>) {
    let Some(bind) = bind.filter(|bind| !bind.is_empty()) else {
        return;
    };
    let path = bind.strip_prefix("unix://");
    let is_path = path.is_some_and(|path| path.starts_with(['/', '@']) && !path.ends_with('/'));
    if !is_path && bind.parse::<IpAddr>().is_err() {
        let message = format!("{bind:?} is neither an address nor a socket");
        checks.error(format!("{field}.bind"), message, "write an address");
    }
}

fn capture(checks: &mut Checks, field: &str, mode: Option<&str>) {
    let modes = ["DEFAULT", "IPTABLES", "NONE"];
    checks.one_of(&format!("{field}.captureMode"), mode, &modes);
}

fn ingress(checks: &mut Checks, field: &str, found: &Ingress) {
    match &found.port {
        Some(port) => checks.port(&format!("{field}.port.number"), Some(port.number)),
        None => checks.error(format!("{field}.port"), "a port is missing", "write one"),
    }
    bind(checks, field, found.bind.as_deref());
    capture(checks, field, found.capture_mode.as_deref());
    if let Some(to) = found.default_endpoint.as_deref() {
        default_endpoint(checks, &format!("{field}.defaultEndpoint"), to);
    }
    if let Some(tls) = &found.tls {
        server_tls(checks, &format!("{field}.tls"), tls);
    }
    if let Some(pool) = &found.connection_pool {
        let field = format!("{field}.connectionPool");
        connection_pool(checks, &field, pool);
        if pool.http.is_some() && found.port.as_ref().is_some_and(speaks_tcp) {
            let message = "the port does not speak HTTP";
            checks.warn(format!("{field}.http"), message, "leave it out");
        }
    }
}

fn speaks_tcp(port: &ListenerPort) -> bool {
    port.protocol.eq_ignore_ascii_case("tcp")
}

/// This pod, on some port: `127.0.0.1:80`, `[::1]:80`, `0.0.0.0:80`, `[::]:80`.
fn default_endpoint(checks: &mut Checks, field: &str, to: &str) {
    let hosts = ["127.0.0.1", "[::1]", "0.0.0.0", "[::]"];
    let fits = to.rsplit_once(':').is_some_and(|(host, port)| {
        hosts.contains(&host) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !to.is_empty() && !is_socket(to) && !fits {
        let message = format!("{to:?} is no place in the pod");
        checks.error(field, message, "write 127.0.0.1:PORT");
    }
}

fn server_tls(checks: &mut Checks, field: &str, tls: &ServerTls) {
    let modes = ["PASSTHROUGH", "SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"];
    checks.one_of(&format!("{field}.mode"), tls.mode.as_deref(), &modes);
    let asked = [
        ("httpsRedirect", tls.https_redirect),
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("credentialName", tls.credential_name.is_some()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ];
    for (name, _) in asked.into_iter().filter(|(_, asked)| *asked) {
        let message = "a Sidecar does not have it";
        checks.error(format!("{field}.{name}"), message, "leave it out");
    }
}

fn egress(checks: &mut Checks, field: &str, found: &Egress) {
    let socket = found.bind.as_deref().is_some_and(is_socket);
    if let Some(port) = found.port.as_ref().filter(|_| !socket) {
        checks.port(&format!("{field}.port.number"), Some(port.number));
    }
    bind(checks, field, found.bind.as_deref());
    capture(checks, field, found.capture_mode.as_deref());
    if socket && found.capture_mode.as_deref() == Some("IPTABLES") {
        let message = "a socket captures nothing";
        checks.error(format!("{field}.captureMode"), message, "use NONE");
    }
    if found.hosts.is_empty() {
        checks.error(format!("{field}.hosts"), "hosts are missing", "write ./*");
    }
    for (index, host) in found.hosts.iter().enumerate() {
        egress_host(checks, &format!("{field}.hosts[{index}]"), host);
    }
}

/// `NAMESPACE/HOST`.
fn egress_host(checks: &mut Checks, field: &str, text: &str) {
    let Some((scope, name)) = text.split_once('/') else {
        let message = format!("{text:?} is not NAMESPACE/HOST");
        checks.error(field, message, "write */HOST for every namespace");
        return;
    };
    if !["*", ".", "~"].contains(&scope) && !is_label(scope) {
        let message = format!("{scope:?} is not the name of a namespace");
        checks.error(field, message, "use ., * or the name of a namespace");
    }
    let help = "use letters, digits, - and dots; * only in front";
    checks.named(field, name, wildcard_domain(name), help);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::verdict, *};

    fn of(spec: Value) -> Vec<String> {
        let meta = Meta::default();
        verdict(&sidecar(&meta, &serde_json::from_value(spec).unwrap())).0
    }

    #[test]
    fn hosts_have_a_namespace() {
        let hosts = |hosts: Value| of(json!({"egress": [{"hosts": hosts}]}));
        assert!(hosts(json!(["./*", "*/a.b", "~/*", "shop/*.c"])).is_empty());
        assert_eq!(hosts(json!(["*"])), ["spec.egress[0].hosts[0]"]);
        assert_eq!(hosts(json!([])), ["spec.egress[0].hosts"]);
    }

    #[test]
    fn a_policy_alone_is_enough() {
        assert!(of(json!({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})).is_empty());
        assert_eq!(of(json!({})), ["spec"]);
        let mode = json!({"outboundTrafficPolicy": {"mode": "ALLOW"}});
        assert_eq!(of(mode), ["spec.outboundTrafficPolicy.mode"]);
    }

    #[test]
    fn one_for_all_ports_is_the_last() {
        let first = json!({"hosts": ["./*"]});
        let second = json!({"port": {"number": 80}, "hosts": ["./*"]});
        assert_eq!(of(json!({"egress": [first, second]})), ["spec.egress[0]"]);
        assert!(of(json!({"egress": [second, first]})).is_empty());
    }
}
