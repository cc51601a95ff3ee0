//! VirtualService, as Istio's webhook sees it.

use std::net::IpAddr;

use super::{
    checks::Checks,
    gateways::{self, reaches_gateways, reaches_mesh},
    http_route::{Scope, http_route},
    l4_route::{tcp_route, tls_route},
    names,
};
use crate::source::{host::overlaps, istio::VirtualService, object::Meta};

/// What is wrong with a VirtualService.
pub fn virtual_service(meta: &Meta, spec: &VirtualService) -> Checks {
    let mut checks = Checks::default();
    let is_delegate = spec.hosts.is_empty();
    if is_delegate {
        delegate(&mut checks, spec);
    } else {
        hosts(&mut checks, spec);
    }
    gateways::names(&mut checks, "spec.gateways", &spec.gateways);
    if spec.http.is_empty() && spec.tcp.is_empty() && spec.tls.is_empty() {
        checks.error("spec", "it has no rule", "give it http, tls or tcp rules");
    }
    let scope = Scope {
        is_delegate,
        gateways: &spec.gateways,
    };
    for (index, rule) in spec.http.iter().enumerate() {
        http_route(&mut checks, &format!("spec.http[{index}]"), rule, scope);
    }
    for (index, rule) in spec.tls.iter().enumerate() {
        tls_route(&mut checks, &format!("spec.tls[{index}]"), rule, spec);
    }
    for (index, rule) in spec.tcp.iter().enumerate() {
        tcp_route(&mut checks, &format!("spec.tcp[{index}]"), rule);
    }
    checks.export_to(&spec.export_to, &meta.namespace, false);
    checks
}

fn delegate(checks: &mut Checks, spec: &VirtualService) {
    if !spec.gateways.is_empty() {
        checks.error(
            "spec.gateways",
            "a VirtualService without hosts is a delegate and has no gateways",
            "name its hosts, or remove gateways",
        );
    }
    if !spec.tls.is_empty() || !spec.tcp.is_empty() {
        checks.error(
            "spec",
            "a VirtualService without hosts is a delegate and has http rules only",
            "name its hosts",
        );
    }
}

fn hosts(checks: &mut Checks, spec: &VirtualService) {
    let on_mesh = reaches_mesh(&spec.gateways);
    let mut all_valid = true;
    for (index, host) in spec.hosts.iter().enumerate() {
        let field = format!("spec.hosts[{index}]");
        let is_address = host.parse::<IpAddr>().is_ok();
        let verdict = if is_address {
            Ok(())
        } else if reaches_gateways(&spec.gateways) {
            names::gateway_domain(host, !spec.tls.is_empty())
        } else {
            names::wildcard_domain(host)
        };
        all_valid &= verdict.is_ok();
        checks.named(
            &field,
            host,
            verdict,
            "use letters, digits, - and dots; * only in front",
        );
        if host == "*" && on_mesh {
            checks.error(
                &field,
                "* is allowed with a gateway only",
                "name the hosts that clients of the mesh dial",
            );
        }
    }
    if all_valid {
        twice(checks, &spec.hosts);
    }
}

/// A host may be there once, also as part of a wildcard.
fn twice(checks: &mut Checks, hosts: &[String]) {
    for (index, host) in hosts.iter().enumerate() {
        if let Some(first) = hosts[..index].iter().find(|first| overlaps(first, host)) {
            let message = if first == host {
                format!("{host} is there twice")
            } else {
                format!("{host} and {first} have names in common")
            };
            checks.error(format!("spec.hosts[{index}]"), message, "remove one");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::of_virtual_service;

    fn with_rule(hosts: Value, gateways: Value) -> (String, usize) {
        let rule = json!({"route": [{"destination": {"host": "catalog"}}]});
        let spec = json!({"hosts": hosts, "gateways": gateways, "http": [rule]});
        let (errors, warnings) = of_virtual_service(spec);
        (errors.join(" "), warnings.len())
    }

    #[test]
    fn hosts_are_names_patterns_or_addresses_and_apart() {
        let errors = |hosts: Value, gateways: Value| with_rule(hosts, gateways).0;
        let fine = json!(["catalog", "*.shop.example", "10.0.0.1", "fd00::1"]);
        assert_eq!(errors(fine.clone(), json!([])), "");
        assert_eq!(errors(fine, json!(["edge"])), "");
        assert_eq!(errors(json!(["*"]), json!(["edge"])), "");
        assert_eq!(errors(json!(["*"]), json!([])), "spec.hosts[0]");
        assert_eq!(
            errors(json!(["*"]), json!(["edge", "mesh"])),
            "spec.hosts[0]"
        );
        assert_eq!(
            errors(json!(["a!", "b.1"]), json!([])),
            "spec.hosts[0] spec.hosts[1]"
        );
        assert_eq!(errors(json!(["a.b", "a.b"]), json!([])), "spec.hosts[1]");
        assert_eq!(errors(json!(["*.b", "a.b"]), json!([])), "spec.hosts[1]");
    }

    #[test]
    fn gateways_are_names() {
        let of = |gateway: &str| with_rule(json!(["a"]), json!([gateway]));
        for name in ["edge", "mesh", "shop/edge"] {
            assert_eq!(of(name), (String::new(), 0), "{name}");
        }
        for name in ["", "*/edge", "shop/*", "./edge", "shop/a.b", "a/b/c", "a b"] {
            assert_eq!(of(name).0, "spec.gateways[0]", "{name}");
        }
        assert_eq!(of("edge.shop.svc.cluster.local"), (String::new(), 1));
    }

    #[test]
    fn delegates_have_http_rules_only() {
        let tcp = json!([{"route": [{"destination": {"host": "catalog"}}]}]);
        let (errors, _) = of_virtual_service(json!({"gateways": ["edge"], "tcp": tcp}));
        assert_eq!(errors, ["spec.gateways", "spec"]);
    }

    #[test]
    fn a_rule_is_needed() {
        assert_eq!(of_virtual_service(json!({"hosts": ["a"]})).0, ["spec"]);
    }
}
