use std::fmt::Write as _;

use super::*;
use crate::desired::fixture::{client, snapshot};

fn rules(text: &str) -> DestinationRules {
    DestinationRules::new(
        &snapshot(text).destination_rules,
        "cluster.local",
        "istio-system",
    )
}

/// Rules from lines `namespace name host exportTo subset`, `-` for no exportTo.
fn rules_of(lines: &str) -> DestinationRules {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [namespace, name, host, export_to, subset] = line.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        let export_to = if export_to == "-" { "" } else { export_to };
        write!(
            text,
            "---\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{host: '{host}', exportTo: [{export_to}], subsets: [{{name: {subset}}}]}}\n"
        )
        .unwrap();
    }
    rules(&text)
}

fn subsets(rule: Option<&Merged>) -> Vec<&str> {
    rule.into_iter()
        .flat_map(|rule| &rule.subsets)
        .map(|subset| subset.name.as_str())
        .collect()
}

/// Istio's own table of look-ups.
#[test]
fn the_clients_namespace_then_the_services_then_the_root() {
    let rules = rules_of(
        "
        test1 rule1 httpbin.org .,ns1 one
        test2 rule2 httpbin.org test2,ns1,test1,newns two
        test3 rule3 httpbin.org '*' three
        test4 rule4-local httpbin.org test4 private
        istio-system rule4 httpbin.org - root
        istio-system rule1 httpbin.org . root-private
        istio-system rule2 *.org . root-wild
        test5 rule5 api.test.com istio-system five
        test6 rule6 api.test.com istio-system six",
    );
    for (from, service, host, expected) in [
        ("test1", "test2", "httpbin.org", "one"),
        ("test2", "test1", "httpbin.org", "two"),
        ("test3", "test1", "httpbin.org", "three"),
        ("test5", "test4", "httpbin.org", "root"),
        ("ns1", "test1", "httpbin.org", "one"),
        (
            "istio-system",
            "istio-system",
            "httpbin.org",
            "root-private",
        ),
        ("istio-system", "test3", "a.org", "root-wild"),
        ("istio-system", "test6", "api.test.com", "six"),
    ] {
        let found = rules.lookup(&client(from), host, Some(service));
        assert_eq!(subsets(found), [expected], "{from} {service} {host}");
    }
    assert!(
        rules
            .lookup(&client("test7"), "api.test.com", Some("test6"))
            .is_none()
    );
    assert_eq!(
        subsets(rules.lookup(&Client::unknown(), "httpbin.org", Some("test2"))),
        ["root"]
    );
}

#[test]
fn the_most_specific_host_of_a_level_counts() {
    let rules = rules_of(
        "
        ns a *.local - wide
        ns b *.svc.cluster.local - narrow
        ns c catalog - exact",
    );
    let of = |host: &str| subsets(rules.lookup(&client("m"), host, Some("ns"))).concat();
    assert_eq!(of("catalog.ns.svc.cluster.local"), "exact");
    assert_eq!(of("other.ns.svc.cluster.local"), "narrow");
    assert_eq!(of("x.local"), "wide");
    assert_eq!(of("local"), "");
}

#[test]
fn who_is_asked_only_where_the_answer_matters() {
    let rules = rules_of(
        "
        ns plain a.com - one
        m far b.com - two
        ns private c.com . three
        istio-system root d.com - four",
    );
    let asks = |host: &str| {
        let anyone = Client::unknown();
        rules.lookup(&anyone, host, Some("ns"));
        anyone.take_asked().anything
    };
    assert!(!asks("a.com") && asks("b.com") && asks("c.com") && !asks("d.com"));
}

#[test]
fn rules_of_one_host_are_merged_and_the_first_definition_of_a_subset_counts() {
    let rules = rules(
        "
kind: DestinationRule
metadata: {name: young, namespace: ns, creationTimestamp: 2021-01-01T00:00:00Z}
spec: {host: a, subsets: [{name: x, labels: {v: young}}, {name: w}]}
---
kind: DestinationRule
metadata: {name: old, namespace: ns, creationTimestamp: 2020-01-01T00:00:00Z}
spec: {host: a, subsets: [{name: x, labels: {v: old}}]}
---
kind: DestinationRule
metadata: {name: narrow, namespace: ns, creationTimestamp: 2022-01-01T00:00:00Z}
spec: {host: a, exportTo: [m], subsets: [{name: z}]}
",
    );
    let all: Vec<_> = rules.all().collect();
    let from = |rule: &Merged| {
        rule.from
            .iter()
            .map(|from| from.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(all.len(), 2);
    assert_eq!(
        (from(all[0]), subsets(Some(all[0]))),
        (vec!["old".to_owned(), "young".to_owned()], vec!["x", "w"])
    );
    assert_eq!(all[0].subset("x").unwrap().labels["v"], "old");
    assert_eq!(
        (from(all[1]), subsets(Some(all[1]))),
        (vec!["narrow".to_owned()], vec!["z"])
    );
}

#[test]
fn of_rules_kept_apart_the_youngest_that_is_seen_counts() {
    let rules = rules_of(
        "
        ns a-old catalog - all
        ns b-young catalog ns,m some",
    );
    let of = |from: &str| {
        let found = rules.lookup(&client(from), "catalog.ns.svc.cluster.local", Some("ns"));
        subsets(found).concat()
    };
    assert_eq!(
        (of("ns"), of("m"), of("o")),
        ("some".into(), "some".into(), "all".into())
    );
}

#[test]
fn a_selector_is_for_clients_of_its_own_namespace() {
    let rules = rules(
        "
kind: DestinationRule
metadata: {name: general, namespace: ns}
spec: {host: a, subsets: [{name: general}]}
---
kind: DestinationRule
metadata: {name: selected, namespace: ns}
spec: {host: a, workloadSelector: {matchLabels: {app: web}}, subsets: [{name: selected}]}
",
    );
    let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
    let of = |client: &Client<'_>| {
        subsets(rules.lookup(client, "a.ns.svc.cluster.local", Some("ns"))).concat()
    };
    assert_eq!(of(&Client::new(Some("ns"), &labels)), "selected");
    assert_eq!(of(&Client::new(Some("m"), &labels)), "general");
    assert_eq!(of(&client("ns")), "general");
    assert_eq!(of(&Client::unknown()), "general");
}
