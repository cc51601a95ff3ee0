//! `tls[]` and `tcp[]` of a VirtualService.

use super::{checks::Checks, destinations::destinations, gateways, names};
use crate::source::{
    host::covers,
    istio::{TcpRoute, TlsRoute, VirtualService, WeightedDestination},
    subnet::Subnet,
};

pub(super) fn tls_route(checks: &mut Checks, field: &str, rule: &TlsRoute, spec: &VirtualService) {
    if rule.matches.is_empty() {
        checks.error(
            format!("{field}.match"),
            "a tls rule needs a match with sniHosts",
            "name them",
        );
    }
    for (index, found) in rule.matches.iter().enumerate() {
        let field = format!("{field}.match[{index}]");
        sni_hosts(checks, &format!("{field}.sniHosts"), &found.sni_hosts, spec);
        checks.port(&format!("{field}.port"), found.port);
        subnets(checks, &field, &found.destination_subnets);
        checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
        checks.namespace(
            &format!("{field}.sourceNamespace"),
            found.source_namespace.as_deref(),
        );
        gateways::names(checks, &format!("{field}.gateways"), &found.gateways);
    }
    route(checks, field, &rule.route);
}

/// Names that a ClientHello may have: each fits one of the hosts.
fn sni_hosts(checks: &mut Checks, field: &str, found: &[String], spec: &VirtualService) {
    if found.is_empty() {
        checks.error(
            field,
            "names are missing",
            "name hosts of this VirtualService",
        );
    }
    for (index, name) in found.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if name.parse::<std::net::IpAddr>().is_ok() {
            checks.warn(&field, "clients do not send addresses", "name a host");
            continue;
        }
        let verdict = names::gateway_domain(name, true);
        checks.named(&field, name, verdict, "name a host; * only in front");
        if !spec.hosts.iter().any(|host| covers(host, name)) {
            checks.error(
                &field,
                format!("{name} is none of the hosts"),
                "add it to hosts",
            );
        }
    }
}

pub(super) fn tcp_route(checks: &mut Checks, field: &str, rule: &TcpRoute) {
    for (index, found) in rule.matches.iter().enumerate() {
        let field = format!("{field}.match[{index}]");
        checks.port(&format!("{field}.port"), found.port);
        subnets(checks, &field, &found.destination_subnets);
        if let Some(subnet) = &found.source_subnet {
            self::subnet(checks, &format!("{field}.sourceSubnet"), subnet);
        }
        checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
        checks.namespace(
            &format!("{field}.sourceNamespace"),
            found.source_namespace.as_deref(),
        );
        gateways::names(checks, &format!("{field}.gateways"), &found.gateways);
    }
    route(checks, field, &rule.route);
}

fn subnets(checks: &mut Checks, field: &str, subnets: &[String]) {
    for (index, subnet) in subnets.iter().enumerate() {
        self::subnet(
            checks,
            &format!("{field}.destinationSubnets[{index}]"),
            subnet,
        );
    }
}

fn subnet(checks: &mut Checks, field: &str, subnet: &str) {
    if Subnet::parse(subnet).is_none() {
        checks.error(
            field,
            format!("{subnet:?} is neither an address nor a subnet"),
            "write 10.0.0.0/8",
        );
    }
}

fn route(checks: &mut Checks, field: &str, route: &[WeightedDestination]) {
    if route.is_empty() {
        checks.error(
            format!("{field}.route"),
            "it has no destination",
            "say where connections go",
        );
    }
    let pairs: Vec<_> = route
        .iter()
        .map(|to| (&to.destination, to.weight))
        .collect();
    destinations(checks, field, &pairs);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::of_virtual_service;

    #[test]
    fn tls_rules_name_hosts_of_their_own() {
        let rule = |names: Value| {
            let route = json!([{"destination": {"host": "catalog"}}]);
            let rule = json!({"match": [{"sniHosts": names}], "route": route});
            of_virtual_service(json!({"hosts": ["*.shop.example"], "tls": [rule]}))
        };
        let (errors, warnings) = rule(json!(["a.shop.example", "*.b.shop.example", "10.0.0.1"]));
        assert!(errors.is_empty());
        assert_eq!(warnings, ["spec.tls[0].match[0].sniHosts[2]"]);
        assert_eq!(rule(json!([])).0, ["spec.tls[0].match[0].sniHosts"]);
        assert_eq!(
            rule(json!(["a.example"])).0,
            ["spec.tls[0].match[0].sniHosts[0]"]
        );
        let (errors, _) = of_virtual_service(json!({"hosts": ["a"], "tls": [{}]}));
        assert_eq!(errors, ["spec.tls[0].match", "spec.tls[0].route"]);
    }

    #[test]
    fn tcp_rules_ask_for_ports_subnets_and_clients() {
        let wrong = json!({
            "match": [{
                "port": 70_000, "destinationSubnets": ["10.0.0.0/8", "a"],
                "sourceLabels": {"a": "b c"}, "gateways": ["*/a"],
            }],
            "route": [{"destination": {"host": "catalog", "subset": "v 1", "port": {"number": 0}}}],
        });
        let fields = [
            "spec.tcp[0].match[0].port",
            "spec.tcp[0].match[0].destinationSubnets[1]",
            "spec.tcp[0].match[0].sourceLabels.a",
            "spec.tcp[0].match[0].gateways[0]",
            "spec.tcp[0].route[0].destination.subset",
            "spec.tcp[0].route[0].destination.port.number",
        ];
        let (errors, _) = of_virtual_service(json!({"hosts": ["catalog"], "tcp": [wrong]}));
        assert_eq!(errors, fields);
    }
}
