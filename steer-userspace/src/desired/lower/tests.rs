use steer_common::service::Depth;

use super::*;
use crate::desired::{
    fixture::{CATALOG, findings, lowered, pod, pods, port, route, route_of, shown, snapshot},
    model::{RequestRule, Route, Rule, View},
};

fn catalog_and(text: &str) -> String {
    format!("{CATALOG}---{text}")
}

fn virtual_service(spec: &str) -> String {
    catalog_and(&format!(
        "
kind: VirtualService
metadata: {{name: catalog, namespace: shop}}
spec:
{spec}"
    ))
}

#[test]
fn a_service_without_rules_leads_to_all_its_endpoints() {
    let desired = lowered(CATALOG, &["shop/webapp"]);
    let route = route(&desired, "shop/catalog", 80);
    assert_eq!((route.depth, &route.rule), (Depth::Connect, &Rule::Service));
    assert_eq!(
        shown(route),
        ["catalog.shop:80 1 [10.10.0.12:3000 10.10.0.13:3000]"]
    );
    assert_eq!(route.destinations[0].destination_rules[0].name, "catalog");
    assert_eq!(findings(&desired), Vec::<String>::new());
    assert!(desired.classes.is_empty());
}

#[test]
fn weights_and_subsets() {
    let desired = lowered(
        &virtual_service(
            "
  hosts: [catalog]
  http:
  - name: canary
    route:
    - {destination: {host: catalog, subset: v1}, weight: 90}
    - {destination: {host: catalog, subset: v2}, weight: 10}
",
        ),
        &[],
    );
    let route = route(&desired, "shop/catalog", 80);
    assert_eq!(
        shown(route),
        [
            "catalog.shop:80/v1 90 [10.10.0.12:3000]",
            "catalog.shop:80/v2 10 [10.10.0.13:3000]"
        ]
    );
    assert_eq!(route.depth, Depth::Connect);
    let Rule::VirtualService { field, name, .. } = &route.rule else {
        panic!("no rule")
    };
    assert_eq!(
        (field.as_str(), name.as_deref()),
        ("spec.http[0]", Some("canary"))
    );
    assert_eq!(findings(&desired), Vec::<String>::new());
}

#[test]
fn a_single_destination_gets_everything_whatever_its_weight() {
    let desired = lowered(
        &virtual_service(
            "  hosts: [catalog]\n  http: [{route: [{destination: {host: catalog, subset: v1}, weight: 0}]}]",
        ),
        &[],
    );
    assert_eq!(
        shown(route(&desired, "shop/catalog", 80)),
        ["catalog.shop:80/v1 1 [10.10.0.12:3000]"]
    );
}

#[test]
fn an_omitted_weight_among_several_is_nothing() {
    let desired = lowered(
        &virtual_service(
            "  hosts: [catalog]
  http: [{route: [{destination: {host: catalog, subset: v1}, weight: 1}, {destination: {host: catalog, subset: v2}}]}]",
        ),
        &[],
    );
    let weights: Vec<u32> = route(&desired, "shop/catalog", 80)
        .destinations
        .iter()
        .map(|to| to.weight)
        .collect();
    assert_eq!(weights, [1, 0]);
}

#[test]
fn unknown_hosts_ports_and_subsets_have_no_endpoints_and_are_found() {
    let desired = lowered(
        &virtual_service(
            "  hosts: [catalog]
  http:
  - route:
    - {destination: {host: nowhere}, weight: 1}
    - {destination: {host: catalog.shop, subset: v1}, weight: 1}
    - {destination: {host: catalog, subset: v9}, weight: 1}
    - {destination: {host: catalog, port: {number: 81}}, weight: 1}",
        ),
        &[],
    );
    assert_eq!(
        shown(route(&desired, "shop/catalog", 80)),
        [
            "nowhere.shop:80 1 []",
            "catalog.shop:80/v1 1 []",
            "catalog.shop:80/v9 1 []",
            "catalog.shop:81 1 []"
        ]
    );
    let found = findings(&desired);
    for field in [
        "[0].destination.host",
        "[1].destination.host",
        "[2].destination.subset",
        "[3].destination.port",
    ] {
        assert!(
            found.contains(&format!("IST0101 spec.http[0].route{field}")),
            "{field}: {found:?}"
        );
    }
}

#[test]
fn a_header_match_is_looked_for_in_requests() {
    let desired = lowered(
        &virtual_service(
            "  hosts: [catalog]
  http:
  - match: [{headers: {x-istio-cohort: {exact: internal}}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]",
        ),
        &[],
    );
    let route = route(&desired, "shop/catalog", 80);
    assert_eq!(route.depth, Depth::Request);
    assert_eq!(shown(route), ["catalog.shop:80/v1 1 [10.10.0.12:3000]"]);
    assert_eq!(requests(route), ["spec.http[0] 1 v2", "spec.http[1] 0 v1"]);
    assert_eq!(findings(&desired), [""; 0]);
}

/// Rules that look at requests: their fields, how many matches, the subsets they lead to.
fn requests(route: &Route) -> Vec<String> {
    let one = |rule: &RequestRule| {
        let Rule::VirtualService { field, .. } = &rule.rule else {
            panic!("{rule:?}")
        };
        let to = rule.destinations.iter();
        let to: Vec<_> = to.filter_map(|to| to.subset.as_deref()).collect();
        format!("{field} {} {}", rule.written.matches.len(), to.join(" "))
    };
    route.requests.iter().map(one).collect()
}

#[test]
fn what_is_known_of_a_client_is_not_asked_of_its_requests() {
    let text = virtual_service(
        "  hosts: [catalog]
  http:
  - match: [{port: 81, uri: {prefix: /a}}]
    route: [{destination: {host: catalog, subset: v1}}]
  - match: [{port: 81, uri: {prefix: /b}}, {port: 80, uri: {prefix: /c}}, {sourceNamespace: other, uri: {prefix: /d}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: catalog, subset: v1}}]
  - route: [{destination: {host: catalog, subset: v2}}]",
    );
    let desired = lowered(&text, &["other/client"]);
    let anyone = route(&desired, "shop/catalog", 80);
    assert_eq!(requests(anyone), ["spec.http[1] 1 v2", "spec.http[2] 1 v1"]);
    let class = desired.classes[&pod("other/client")];
    let own = route_of(&desired, "shop/catalog", 80, class);
    assert_eq!(requests(own), ["spec.http[1] 2 v2", "spec.http[2] 1 v1"]);
}

#[test]
fn a_split_of_requests_looks_at_them() {
    let depth = |mode: &str, protocol: &str| {
        let text = virtual_service(
            "  hosts: [catalog]
  http: [{route: [{destination: {host: catalog, subset: v1}, weight: 1}, {destination: {host: catalog, subset: v2}, weight: 1}]}]",
        );
        let named = "metadata: {name: catalog, namespace: shop}\nspec:\n  hosts";
        let annotated = named.replace(
            "shop}",
            &format!("shop, annotations: {{steer.dev/split: {mode}}}}}"),
        );
        let text = text
            .replace(named, &annotated)
            .replace("name: http,", &format!("name: {protocol},"));
        let desired = lowered(&text, &[]);
        let codes: Vec<&str> = desired
            .findings
            .iter()
            .map(|finding| finding.code)
            .collect();
        (route(&desired, "shop/catalog", 80).depth, codes)
    };
    let none: Vec<&str> = Vec::new();
    assert_eq!(depth("request", "http"), (Depth::Request, none.clone()));
    assert_eq!(depth("connection", "http"), (Depth::Connect, none.clone()));
    assert_eq!(depth("auto", "http"), (Depth::Connect, none));
    // What is spoken there is not known.
    assert_eq!(
        depth("request", "web"),
        (Depth::Connect, vec!["IST0118", "STR0301"])
    );
}

#[test]
fn without_a_catch_all_the_service_itself_is_the_route() {
    let desired = lowered(
        &virtual_service(
            "  hosts: [catalog]
  http: [{match: [{uri: {prefix: /items}}], route: [{destination: {host: catalog, subset: v2}}]}]",
        ),
        &[],
    );
    let route = route(&desired, "shop/catalog", 80);
    assert_eq!(route.depth, Depth::Request);
    assert_eq!(
        shown(route),
        ["catalog.shop:80 1 [10.10.0.12:3000 10.10.0.13:3000]"]
    );
    assert_eq!(requests(route), ["spec.http[0] 1 v2"]);
    assert_eq!(findings(&desired), [""; 0]);
}

#[test]
fn source_labels_make_a_class() {
    let text = virtual_service(
        "  hosts: [catalog]
  http:
  - match: [{sourceLabels: {app: webapp}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]",
    );
    let desired = lowered(&text, &["shop/webapp", "other/client"]);
    assert_eq!(desired.classes.len(), 1);
    let class = desired.classes[&crate::desired::fixture::pod("shop/webapp")];
    assert_eq!(desired.class_names[&class], "app=webapp");
    assert_eq!(
        shown(route_of(&desired, "shop/catalog", 80, class)),
        ["catalog.shop:80/v2 1 [10.10.0.13:3000]"]
    );
    assert_eq!(
        shown(route(&desired, "shop/catalog", 80)),
        ["catalog.shop:80/v1 1 [10.10.0.12:3000]"]
    );
    assert_eq!(port(&desired, "shop/catalog", 80).views.len(), 2);
    assert_eq!(route(&desired, "shop/catalog", 80).depth, Depth::Connect);
}

#[test]
fn a_service_that_is_not_exported_is_hidden() {
    let text = CATALOG.replacen(
        "{name: catalog, namespace: shop}",
        "{name: catalog, namespace: shop, annotations: {networking.istio.io/exportTo: .}}",
        1,
    );
    let desired = lowered(&text, &["shop/webapp", "other/client"]);
    let views = &port(&desired, "shop/catalog", 80).views;
    assert_eq!(views[&0], View::Hidden);
    let class = desired.classes[&crate::desired::fixture::pod("shop/webapp")];
    assert_eq!(desired.class_names[&class], "namespace=shop");
    assert!(matches!(views[&class], View::Route(_)));
}

#[test]
fn findings_are_sorted_and_the_same_each_time() {
    let text = virtual_service(
        "  hosts: [catalog, nothing]\n  gateways: [mesh, g]\n  http: [{route: [{destination: {host: nowhere}}]}]",
    );
    let once = lower(&snapshot(&text), &Settings::default(), &pods(&[]));
    let again = lower(&snapshot(&text), &Settings::default(), &pods(&[]));
    assert_eq!(once.findings, again.findings);
    assert!(once.findings.is_sorted() && once.findings.len() > 2);
}
