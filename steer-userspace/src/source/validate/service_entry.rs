//! ServiceEntry and WorkloadEntry, as Istio's webhook sees them.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    checks::Checks,
    names::{self, fqdn},
};
use crate::source::{
    istio::{EntryPort, Resolution, ServiceEntry, WorkloadEntry},
    object::Meta,
    subnet::Subnet,
};

/// What is spoken on a port, as far as Istio knows it.
const PROTOCOLS: [&str; 12] = [
    "http", "https", "http2", "grpc", "grpc-web", "tcp", "tls", "udp", "mongo", "mysql", "redis",
    "hbone",
];
const HOSTS_MAX: usize = 256;

/// What is wrong with a ServiceEntry.
pub fn service_entry(meta: &Meta, spec: &ServiceEntry) -> Checks {
    let mut checks = Checks::default();
    let resolutions = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"];
    checks.one_of("spec.resolution", spec.resolution.as_deref(), &resolutions);
    let locations = ["MESH_EXTERNAL", "MESH_INTERNAL"];
    checks.one_of("spec.location", spec.location.as_deref(), &locations);
    hosts(&mut checks, spec);
    addresses(&mut checks, spec);
    ports(&mut checks, spec);
    selector(&mut checks, spec);
    endpoints(&mut checks, spec);
    if spec.resolves() == Resolution::DynamicDns {
        dynamic(&mut checks, meta, spec);
    }
    export_to(&mut checks, meta, &spec.export_to);
    checks
}

/// What is wrong with a WorkloadEntry.
pub fn workload_entry(_: &Meta, spec: &WorkloadEntry) -> Checks {
    let mut checks = Checks::default();
    let is_name = spec.address.parse::<IpAddr>().is_err() && !spec.address.starts_with("unix://");
    let resolution = if is_name {
        Resolution::Dns
    } else {
        Resolution::Static
    };
    endpoint(&mut checks, "spec", spec, resolution);
    checks
}

fn hosts(checks: &mut Checks, spec: &ServiceEntry) {
    if spec.hosts.is_empty() {
        checks.error("spec.hosts", "it names no host", "name one");
    }
    if spec.hosts.len() > HOSTS_MAX {
        let message = format!("it names more than {HOSTS_MAX} hosts");
        checks.error("spec.hosts", message, "write several ServiceEntries");
    }
    for (index, host) in spec.hosts.iter().enumerate() {
        let field = format!("spec.hosts[{index}]");
        if host == "*" {
            let help = "name a domain; outboundTrafficPolicy ALLOW_ANY lets everything through";
            checks.error(&field, "* is no host here", help);
            continue;
        }
        let help = "use letters, digits, - and dots; * only in front";
        checks.named(&field, host, names::wildcard_domain(host), help);
        if host.starts_with('*') && !host.starts_with("*.") {
            let message = format!("{host:?} has no dot behind its *: it fits nothing");
            checks.warn(&field, message, "write *.DOMAIN");
        }
    }
    let others = spec.ports.iter().any(|port| {
        let protocol = port.protocol.to_ascii_lowercase();
        !is_http(&protocol) && !is_tls(&protocol)
    });
    if spec.hosts.len() > 1 && others && spec.resolves() != Resolution::None {
        let message = "bytes that are neither HTTP nor TLS do not say for which host they are";
        checks.error("spec.hosts", message, "write a ServiceEntry for each host");
    }
}

fn is_http(protocol: &str) -> bool {
    ["http", "http2", "grpc", "grpc-web"].contains(&protocol)
}

fn is_tls(protocol: &str) -> bool {
    ["https", "tls"].contains(&protocol)
}

fn addresses(checks: &mut Checks, spec: &ServiceEntry) {
    let takes_subnets = [Resolution::None, Resolution::Static].contains(&spec.resolves());
    for (index, text) in spec.addresses.iter().enumerate() {
        let field = format!("spec.addresses[{index}]");
        if Subnet::parse(text).is_none() {
            let message = format!("{text:?} is neither an address nor a subnet");
            checks.error(&field, message, "write 10.0.0.1 or 10.0.0.0/8");
        } else if text.contains('/') && !takes_subnets {
            let message = "subnets need resolution NONE or STATIC";
            checks.error(&field, message, "write single addresses");
        }
    }
}

fn ports(checks: &mut Checks, spec: &ServiceEntry) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in spec.ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        checks.port(&format!("{field}.number"), Some(port.number));
        checks.port(&format!("{field}.targetPort"), port.target_port);
        let name = format!("{field}.name");
        if port.name.is_empty() {
            checks.error(&name, "the port has no name", "name it");
        } else if !names::is_domain_part(&port.name) {
            let message = format!("{:?} is not the name of a port", port.name);
            checks.error(&name, message, "use letters, digits and -");
        } else if !names.insert(&port.name) {
            checks.error(&name, format!("{} is there twice", port.name), "rename one");
        }
        if !numbers.insert(port.number) {
            let message = format!("port {} is there twice", port.number);
            checks.error(format!("{field}.number"), message, "remove one");
        }
        protocol(checks, &format!("{field}.protocol"), port, spec);
    }
}

fn protocol(checks: &mut Checks, field: &str, port: &EntryPort, spec: &ServiceEntry) {
    let protocol = port.protocol.to_ascii_lowercase();
    if !protocol.is_empty() && !PROTOCOLS.contains(&protocol.as_str()) {
        let message = format!("{:?} is not known here", port.protocol);
        let help = "use one of HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, UDP, MONGO";
        checks.error(field, message, help);
    }
    let is_opaque = protocol.is_empty() || protocol == "tcp";
    if is_opaque && spec.addresses.is_empty() && spec.resolves() == Resolution::None {
        let message = "without addresses nothing says where this port is: \
                       steer allows it on the addresses that DNS gives the hosts";
        checks.warn(field, message, "name addresses");
    }
}

fn selector(checks: &mut Checks, spec: &ServiceEntry) {
    let Some(selector) = &spec.workload_selector else {
        return;
    };
    let field = "spec.workloadSelector";
    if !spec.endpoints.is_empty() {
        let message = "endpoints and workloadSelector exclude each other";
        checks.error(field, message, "leave one of them");
    }
    checks.labels(&format!("{field}.labels"), &selector.labels);
    if selector.labels.is_empty() {
        checks.warn(field, "it selects nothing", "name labels");
    } else if spec.resolves() == Resolution::None {
        let message = "with resolution NONE connections go where they are dialled";
        checks.warn(field, message, "use resolution STATIC");
    }
}

fn endpoints(checks: &mut Checks, spec: &ServiceEntry) {
    let resolution = spec.resolves();
    let count = spec.endpoints.len();
    match resolution {
        Resolution::None if count > 0 => {
            let message = "with resolution NONE connections go where they are dialled";
            checks.error("spec.endpoints", message, "use resolution STATIC or DNS");
        }
        Resolution::DnsRoundRobin if count > 1 => {
            let message = "DNS_ROUND_ROBIN takes one endpoint";
            checks.error("spec.endpoints", message, "use resolution DNS");
        }
        Resolution::Dns | Resolution::DnsRoundRobin if count == 0 => {
            for (index, host) in spec.hosts.iter().enumerate() {
                let field = format!("spec.hosts[{index}]");
                let help = "name endpoints, or use resolution NONE";
                checks.named(&field, host, fqdn(host), help);
            }
        }
        _ => {}
    }
    let names: BTreeSet<&String> = spec.ports.iter().map(|port| &port.name).collect();
    for (index, found) in spec.endpoints.iter().enumerate() {
        let field = format!("spec.endpoints[{index}]");
        endpoint(checks, &field, found, resolution);
        for name in found.ports.keys().filter(|name| !names.contains(name)) {
            let message = format!("the entry has no port {name}");
            let help = "use the name of one of its ports";
            checks.error(format!("{field}.ports.{name}"), message, help);
        }
        if found.address.starts_with("unix://") && spec.ports.len() != 1 {
            let message = "a socket of this node stands for exactly one port";
            checks.error(format!("{field}.address"), message, "name one port");
        }
    }
}

fn endpoint(checks: &mut Checks, field: &str, found: &WorkloadEntry, resolution: Resolution) {
    let address = format!("{field}.address");
    let text = found.address.as_str();
    if text.is_empty() {
        if found.network.as_ref().is_none_or(String::is_empty) {
            checks.error(&address, "an address is missing", "write one");
        } else {
            let message = "an endpoint without an address is reached by a gateway only";
            checks.warn(&address, message, "write its address");
        }
    } else if let Some(path) = text.strip_prefix("unix://") {
        let is_path = path.starts_with(['/', '@']) && !path.ends_with('/');
        if resolution != Resolution::Static || !is_path || !found.ports.is_empty() {
            let message = format!("{text:?} is no socket that can be used here");
            let help = "use resolution STATIC, an absolute path, and no ports";
            checks.error(&address, message, help);
        }
    } else if text.parse::<IpAddr>().is_err() {
        if resolution == Resolution::Static {
            let message = format!("{text:?} is not an address");
            checks.error(&address, message, "use resolution DNS for names");
        } else {
            let help = "write an address, or a name without wildcard";
            checks.named(&address, text, fqdn(text), help);
        }
    }
    checks.labels(&format!("{field}.labels"), &found.labels);
    for (name, &port) in &found.ports {
        let field = format!("{field}.ports.{name}");
        if !names::is_domain_part(name) {
            let message = format!("{name:?} is not the name of a port");
            checks.error(&field, message, "use letters, digits and -");
        }
        checks.port(&field, Some(port));
    }
}

/// `DYNAMIC_DNS`: the name that is asked for says where to.
fn dynamic(checks: &mut Checks, meta: &Meta, spec: &ServiceEntry) {
    let only = |checks: &mut Checks, field: &str, message: &str| {
        checks.error(field, message, "use another resolution");
    };
    for (index, host) in spec.hosts.iter().enumerate() {
        if !host.starts_with('*') {
            let field = format!("spec.hosts[{index}]");
            only(checks, &field, "DYNAMIC_DNS is for wildcards");
        }
    }
    if !spec.endpoints.is_empty() || spec.workload_selector.is_some() {
        only(checks, "spec.endpoints", "DYNAMIC_DNS takes no endpoints");
    }
    if !spec.addresses.is_empty() {
        only(checks, "spec.addresses", "DYNAMIC_DNS takes no addresses");
    }
    for (index, port) in spec.ports.iter().enumerate() {
        let protocol = port.protocol.to_ascii_lowercase();
        if !is_http(&protocol) && !is_tls(&protocol) {
            let field = format!("spec.ports[{index}].protocol");
            only(checks, &field, "DYNAMIC_DNS needs HTTP or TLS");
        }
    }
    let waypoint = meta.labels.get("istio.io/use-waypoint");
    let is_internal = spec.location.as_deref() == Some("MESH_INTERNAL");
    if is_internal && waypoint.is_some_and(|name| name != "none") {
        let message = "with a waypoint, DYNAMIC_DNS is for MESH_EXTERNAL";
        only(checks, "spec.location", message);
    }
}

/// `~`, nobody, stands alone.
fn export_to(checks: &mut Checks, meta: &Meta, values: &[String]) {
    if values != ["~"] {
        checks.export_to(values, &meta.namespace, false);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::verdict, *};

    fn of(spec: Value) -> (Vec<String>, Vec<String>) {
        let meta = Meta::default();
        verdict(&service_entry(
            &meta,
            &serde_json::from_value(spec).unwrap(),
        ))
    }

    fn with(more: Value) -> Vec<String> {
        let mut spec = json!({
            "hosts": ["a.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        });
        let fields = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(fields);
        of(spec).0
    }

    #[test]
    fn hosts_are_names_and_wildcards_of_domains() {
        assert!(with(json!({"hosts": ["a.example", "*.b.example"]})).is_empty());
        assert_eq!(with(json!({"hosts": ["*"]})), ["spec.hosts[0]"]);
        assert_eq!(with(json!({"hosts": []})), ["spec.hosts"]);
        let tcp = json!([{"number": 1, "name": "a", "protocol": "TCP"}]);
        let two = json!({"hosts": ["a.b", "b.b"], "ports": tcp, "resolution": "STATIC"});
        assert_eq!(with(two), ["spec.hosts"]);
    }

    #[test]
    fn endpoints_fit_the_resolution() {
        let endpoint = |resolution: &str, address: &str| {
            with(json!({"resolution": resolution, "endpoints": [{"address": address}]}))
        };
        assert!(endpoint("STATIC", "10.0.0.1").is_empty());
        assert!(endpoint("DNS", "b.example").is_empty());
        assert_eq!(
            endpoint("STATIC", "b.example"),
            ["spec.endpoints[0].address"]
        );
        assert_eq!(endpoint("NONE", "10.0.0.1"), ["spec.endpoints"]);
        assert!(endpoint("STATIC", "unix:///run/a").is_empty());
        assert_eq!(
            endpoint("STATIC", "unix://a"),
            ["spec.endpoints[0].address"]
        );
    }

    #[test]
    fn subnets_need_no_resolving() {
        let addresses = json!(["10.0.0.0/8", "fd00::1"]);
        assert!(with(json!({"addresses": addresses})).is_empty());
        let dns = json!({"addresses": addresses, "resolution": "DNS"});
        assert_eq!(with(dns), ["spec.addresses[0]"]);
        assert_eq!(with(json!({"addresses": ["x"]})), ["spec.addresses[0]"]);
    }

    #[test]
    fn nobody_stands_alone() {
        assert!(with(json!({"exportTo": ["~"]})).is_empty());
        assert!(!with(json!({"exportTo": ["~", "."]})).is_empty());
    }
}
