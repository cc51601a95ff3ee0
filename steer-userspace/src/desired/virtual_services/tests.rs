use super::*;
use crate::desired::fixture::snapshot;

fn services(text: &str) -> VirtualServices {
    VirtualServices::new(&snapshot(text).virtual_services, "cluster.local")
}

/// A VirtualService from `namespace/name`, its year, and fields of its spec.
fn written(name: &str, year: u32, fields: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "---\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}, creationTimestamp: {year}-01-01T00:00:00Z}}\n\
         spec: {{{fields}, http: [{{route: [{{destination: {{host: to}}}}]}}]}}\n"
    )
}

fn names<'p>(found: impl Iterator<Item = &'p Prepared>) -> Vec<String> {
    found.map(|found| found.object.meta.name.clone()).collect()
}

/// Istio's own table of exportTo and gateways.
#[test]
fn what_a_namespace_sees_by_gateway() {
    let all = services(
        &[
            written("test1/rule1", 2001, "hosts: [rule1.com], exportTo: ['.', ns1]"),
            written("test2/rule2", 2002, "hosts: [rule2.com], exportTo: [test2, ns1, test1]"),
            written("test2/rule2gw", 2003, "hosts: [rule2gw.com], gateways: [default/gateway, mesh], exportTo: [test2, ns1, test1]"),
            written("test3/rule3", 2004, "hosts: [rule3.com], gateways: [mesh]"),
            written("test3/rule3gw", 2005, "hosts: [rule3gw.com], gateways: [default/gateway]"),
        ]
        .concat(),
    );
    for (namespace, gateway, expected) in [
        ("test1", MESH, &["rule1", "rule2", "rule2gw", "rule3"][..]),
        ("test2", MESH, &["rule2", "rule2gw", "rule3"]),
        ("ns1", MESH, &["rule1", "rule2", "rule2gw", "rule3"]),
        ("random", MESH, &["rule3"]),
        ("test1", "default/gateway", &["rule2gw", "rule3gw"]),
        ("random", "default/gateway", &["rule3gw"]),
    ] {
        assert_eq!(
            names(all.visible(namespace, gateway)),
            expected,
            "{namespace} {gateway}"
        );
    }
}

#[test]
fn the_most_specific_host_is_asked_first_then_the_oldest() {
    let all = services(
        &[
            written("ns/wide", 2001, "hosts: ['*.local']"),
            written("ns/young", 2003, "hosts: [catalog]"),
            written("ns/old", 2002, "hosts: [catalog]"),
            written("ns/narrow", 2004, "hosts: ['*.ns.svc.cluster.local']"),
            written("ns/gateway", 2000, "hosts: [catalog], gateways: [g]"),
        ]
        .concat(),
    );
    assert_eq!(
        names(all.of_host("catalog.ns.svc.cluster.local")),
        ["old", "young", "narrow", "wide"]
    );
    assert_eq!(
        names(all.of_host("other.ns.svc.cluster.local")),
        ["narrow", "wide"]
    );
    assert_eq!(names(all.of_host("catalog")), Vec::<String>::new());
    let found: Vec<_> = all
        .findings()
        .map(|found| (found.code, found.object.clone().unwrap().name))
        .collect();
    assert_eq!(found, [("IST0109", "young".to_owned())]);
}

#[test]
fn those_that_no_client_sees_together_do_not_conflict() {
    let all = services(
        &[
            written("a/one", 2001, "hosts: [x.com], exportTo: ['.']"),
            written("b/two", 2002, "hosts: [x.com], exportTo: ['.']"),
        ]
        .concat(),
    );
    assert_eq!(all.findings().count(), 0);
}

#[test]
fn rules_of_a_delegate_stand_in_the_place_of_the_rule_that_names_it() {
    let delegate = |name: &str, rules: &str| {
        format!(
            "---\nkind: VirtualService\nmetadata: {{name: {name}, namespace: d}}\nspec: {{http: {rules}}}\n"
        )
    };
    let all = services(
        &[
            "---
kind: VirtualService
metadata: {name: root, namespace: ns}
spec:
  hosts: [catalog]
  http:
  - match: [{uri: {prefix: /a}}]
    delegate: {name: one, namespace: d}
  - delegate: {name: missing, namespace: d}
  - delegate: {name: private, namespace: d}
  - name: last
    route: [{destination: {host: to}}]
"
            .to_owned(),
            delegate(
                "one",
                "[{match: [{uri: {prefix: /a/1}}], route: [{destination: {host: to}}]}, {match: [{uri: {prefix: /b}}], route: [{destination: {host: to}}]}, {route: [{destination: {host: to}}]}]",
            ),
            delegate("private", "[{route: [{destination: {host: to}}]}]").replace("spec: {", "spec: {exportTo: ['.'], "),
            delegate("unused", "[{route: [{destination: {host: to}}]}]"),
        ]
        .concat(),
    );
    let rules: Vec<_> = all.all[0]
        .http
        .iter()
        .map(|rule| {
            (
                rule.object.meta.name.as_str(),
                rule.field.as_str(),
                rule.route().matches.len(),
            )
        })
        .collect();
    assert_eq!(
        rules,
        [
            ("one", "spec.http[0]", 1),
            ("one", "spec.http[2]", 1),
            ("root", "spec.http[3]", 0)
        ]
    );
    let found: Vec<_> = all
        .findings()
        .map(|found| (found.code, found.field.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("STR0311", "spec.http[1]"),
            ("IST0101", "spec.http[1].delegate"),
            ("IST0101", "spec.http[2].delegate"),
            ("STR0311", ""),
            ("STR0311", ""),
        ]
    );
}
