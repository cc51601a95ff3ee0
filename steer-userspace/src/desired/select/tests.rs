use steer_common::service::Depth;

use crate::desired::{
    fixture::{CATALOG, findings, lowered, route, shown},
    model::Rule,
};

/// The catalog whose port has this name, and a VirtualService for it.
fn with(port: &str, spec: &str) -> String {
    let catalog = CATALOG.replace("name: http", &format!("name: {port}"));
    format!(
        "{catalog}---\nkind: VirtualService\nmetadata: {{name: catalog, namespace: shop}}\nspec:\n  hosts: [catalog]\n{spec}"
    )
}

/// The field of the rule, the depth, and the first destination's subset.
fn chosen(text: &str) -> (String, Depth, Option<String>) {
    let desired = lowered(text, &[]);
    let route = route(&desired, "shop/catalog", 80);
    let field = match &route.rule {
        Rule::Object { .. } | Rule::Setting { .. } | Rule::Service => "-".to_owned(),
        Rule::VirtualService { field, .. } => field.clone(),
    };
    (field, route.depth, route.destinations[0].subset.clone())
}

fn rule(field: &str, depth: Depth, subset: &str) -> (String, Depth, Option<String>) {
    (field.to_owned(), depth, Some(subset.to_owned()))
}

fn own(depth: Depth) -> (String, Depth, Option<String>) {
    ("-".to_owned(), depth, None)
}

const BOTH: &str = "  http: [{route: [{destination: {host: catalog, subset: v1}}]}]
  tcp: [{route: [{destination: {host: catalog, subset: v2}}]}]
";

#[test]
fn the_ports_protocol_says_which_list_holds() {
    for (port, expected) in [
        ("http-web", rule("spec.http[0]", Depth::Connect, "v1")),
        ("grpc", rule("spec.http[0]", Depth::Connect, "v1")),
        ("tcp", rule("spec.tcp[0]", Depth::Connect, "v2")),
        ("mysql", rule("spec.tcp[0]", Depth::Connect, "v2")),
        ("https", own(Depth::Connect)),
        ("what", rule("spec.http[0]", Depth::Connect, "v1")),
    ] {
        assert_eq!(chosen(&with(port, BOTH)), expected, "{port}");
    }
    let found = findings(&lowered(&with("what", BOTH), &[]));
    assert_eq!(found, ["IST0118 spec.ports[0]", "STR0313 spec"]);
    let tcp_only = BOTH.lines().nth(1).unwrap();
    assert_eq!(
        chosen(&with("what", tcp_only)),
        rule("spec.tcp[0]", Depth::Connect, "v2")
    );
    assert_eq!(chosen(&with("http", tcp_only)), own(Depth::Connect));
    assert_eq!(
        findings(&lowered(&with("http", tcp_only), &[])),
        ["STR0313 spec.tcp"]
    );
}

#[test]
fn the_first_rule_that_holds_decides() {
    let tcp = "  tcp:
  - match: [{port: 81}, {gateways: [g]}, {sourceNamespace: other}, {destinationSubnets: [10.201.0.0/16]}]
    route: [{destination: {host: catalog, subset: v1}}]
  - match: [{destinationSubnets: [10.200.1.0/24], port: 80}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]
";
    assert_eq!(
        chosen(&with("tcp", tcp)),
        rule("spec.tcp[1]", Depth::Connect, "v2")
    );
    let http = "  http:
  - match: [{port: 81}, {gateways: [g]}, {sourceLabels: {app: x}}]
    route: [{destination: {host: catalog, subset: v1}}]
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]
";
    assert_eq!(
        chosen(&with("http", http)),
        rule("spec.http[1]", Depth::Connect, "v2")
    );
}

#[test]
fn without_a_rule_that_holds_the_service_itself() {
    let http =
        "  http: [{match: [{port: 81}], route: [{destination: {host: catalog, subset: v1}}]}]\n";
    assert_eq!(chosen(&with("http", http)), own(Depth::Connect));
    let tcp =
        "  tcp: [{match: [{port: 81}], route: [{destination: {host: catalog, subset: v1}}]}]\n";
    assert_eq!(chosen(&with("tcp", tcp)), own(Depth::Connect));
}

#[test]
fn the_first_virtual_service_decides_alone() {
    let text = with(
        "tcp",
        "  http: [{route: [{destination: {host: catalog, subset: v1}}]}]\n",
    );
    let text = format!(
        "{text}---\nkind: VirtualService\nmetadata: {{name: wide, namespace: shop}}\n\
         spec: {{hosts: ['*.shop.svc.cluster.local'], tcp: [{{route: [{{destination: {{host: catalog, subset: v2}}}}]}}]}}\n"
    );
    assert_eq!(chosen(&text), own(Depth::Connect));
    let private = text.replace(
        "  hosts: [catalog]",
        "  hosts: [catalog]\n  exportTo: ['.']",
    );
    assert_eq!(chosen(&private), rule("spec.tcp[0]", Depth::Connect, "v2"));
}

#[test]
fn what_asks_for_requests_makes_a_route_deep() {
    for (rest, depth) in [
        ("timeout: 1s", Depth::Request),
        ("retries: {attempts: 0}", Depth::Connect),
        ("retries: {attempts: 3}", Depth::Request),
        ("mirror: {host: catalog}", Depth::Connect),
        ("mirror: {host: catalog}, timeout: 1s", Depth::Request),
    ] {
        let http = format!(
            "  http: [{{route: [{{destination: {{host: catalog, subset: v1}}}}], {rest}}}]\n"
        );
        assert_eq!(
            chosen(&with("http", &http)),
            rule("spec.http[0]", depth, "v1"),
            "{rest}"
        );
    }
    // HTTP/2 cannot be read on its way.
    let mirrored = "  http: [{route: [{destination: {host: catalog, subset: v1}}], mirror: {host: catalog}}]\n";
    for port in ["http2", "grpc"] {
        let chosen = chosen(&with(port, mirrored));
        assert_eq!(chosen, rule("spec.http[0]", Depth::Request, "v1"), "{port}");
    }
    let redirect = "  http: [{redirect: {uri: /a}}]\n";
    let (field, depth, subset) = chosen(&with("http", redirect));
    assert_eq!(
        (field.as_str(), depth, subset),
        ("spec.http[0]", Depth::Request, None)
    );
    assert_eq!(findings(&lowered(&with("http", redirect), &[])), [""; 0]);
}

#[test]
fn a_tls_rule_holds_for_the_name_of_the_service_it_is_dialled_by() {
    let tls = |sni: &str| {
        format!(
            "  tls: [{{match: [{{sniHosts: [{sni}]}}], route: [{{destination: {{host: catalog, subset: v2}}}}]}}]\n"
        )
    };
    let text = |hosts: &str, sni: &str| {
        with("tls", &tls(sni)).replace("hosts: [catalog]", &format!("hosts: [{hosts}]"))
    };
    let enforced = rule("spec.tls[0]", Depth::Hello, "v2");
    let full = "catalog.shop.svc.cluster.local";
    assert_eq!(chosen(&text(full, full)), enforced);
    assert_eq!(chosen(&text("catalog", "catalog")), enforced);
    assert_eq!(chosen(&text("'*.local'", "'*.local'")), enforced);
    let other = text(&format!("{full}, www.example.com"), "www.example.com");
    let (field, depth, subset) = chosen(&other);
    assert_eq!(
        (field.as_str(), depth, subset),
        ("spec.tls", Depth::Hello, None)
    );
    let found = findings(&lowered(&other, &[]));
    assert_eq!(
        found,
        [
            "IST0101 spec.hosts[1]",
            "STR0302 spec.tls[0].match[0].sniHosts",
            "STR0309 spec.tls"
        ]
    );
}

#[test]
fn datagrams_are_not_routed() {
    let text = with("udp", BOTH).replace("port: 80,", "port: 80, protocol: UDP,");
    let text = text.replace("protocol: TCP", "protocol: UDP");
    let desired = lowered(&text, &[]);
    assert_eq!(
        shown(route(&desired, "shop/catalog", 80)),
        ["catalog.shop:80 1 [10.10.0.12:3000 10.10.0.13:3000]"]
    );
}

#[test]
fn the_port_of_a_destination() {
    let front = |to: &str| {
        format!(
            "{CATALOG}---
kind: Service
metadata: {{name: front, namespace: shop}}
spec: {{clusterIP: 10.200.1.1, ports: [{{name: http, port: 8000}}]}}
---
kind: Service
metadata: {{name: several, namespace: shop}}
spec: {{clusterIP: 10.200.1.2, ports: [{{name: http, port: 8000}}, {{name: http-b, port: 81}}]}}
---
kind: VirtualService
metadata: {{name: front, namespace: shop}}
spec: {{hosts: [front], http: [{{route: [{{destination: {to}}}]}}]}}
"
        )
    };
    let of = |to: &str| {
        let desired = lowered(&front(to), &[]);
        (
            route(&desired, "shop/front", 8000).destinations[0].port,
            findings(&desired),
        )
    };
    assert_eq!(of("{host: catalog}"), (80, vec![]));
    assert_eq!(of("{host: several, port: {number: 81}}"), (81, vec![]));
    let ambiguous = "IST0112 spec.http[0].route[0].destination.port".to_owned();
    assert_eq!(of("{host: several}"), (8000, vec![ambiguous]));
}

#[test]
fn weights_beyond_32_bits_leave_the_service_itself() {
    let weights = "  http: [{route: [{destination: {host: catalog, subset: v1}, weight: 4294967295}, {destination: {host: catalog, subset: v2}, weight: 1}]}]\n";
    let text = with("http", weights);
    assert_eq!(chosen(&text), own(Depth::Connect));
    assert_eq!(
        findings(&lowered(&text, &[])),
        ["STR0304 spec.http[0].route"]
    );
    let even = text
        .replace("4294967295", "4294967294")
        .replace("weight: 1}", "weight: 2}");
    assert_eq!(chosen(&even), rule("spec.http[0]", Depth::Connect, "v1"));
}
