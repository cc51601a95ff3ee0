use super::*;
use crate::desired::fixture::{CATALOG, lowered, pod, port, route_of, shown};

/// The catalog with a rule for clients by these matches.
fn rules(matches: &[&str]) -> String {
    let rules: Vec<String> = matches
        .iter()
        .enumerate()
        .map(|(index, one)| format!("{{name: r{index}, match: [{one}], route: [{{destination: {{host: catalog, subset: v2}}}}]}}"))
        .collect();
    format!(
        "{CATALOG}---\nkind: VirtualService\nmetadata: {{name: catalog, namespace: shop}}\nspec: {{hosts: [catalog], http: [{}]}}\n",
        rules.join(", ")
    )
}

const LOCAL: [&str; 4] = ["shop/webapp", "other/client", "shop/catalog-v1", "no/such"];

#[test]
fn a_class_is_what_held_of_its_pods() {
    let desired = lowered(
        &rules(&["{sourceLabels: {app: webapp}}", "{sourceNamespace: other}"]),
        &LOCAL,
    );
    let names: Vec<_> = desired.class_names.values().map(String::as_str).collect();
    assert_eq!(names.len(), 2);
    let class = |name: &str| desired.class_names[&desired.classes[&pod(name)]].as_str();
    assert_eq!(class("shop/webapp"), "app=webapp");
    assert_eq!(class("other/client"), "namespace=other");
    assert!(!desired.classes.contains_key(&pod("shop/catalog-v1")));
    let of = |name: &str| {
        shown(route_of(
            &desired,
            "shop/catalog",
            80,
            desired.classes[&pod(name)],
        ))
    };
    assert_eq!(
        of("shop/webapp"),
        ["catalog.shop:80/v2 1 [10.10.0.13:3000]"]
    );
}

#[test]
fn a_class_keeps_its_number_while_others_come_and_go() {
    let few = lowered(&rules(&["{sourceLabels: {app: webapp}}"]), &LOCAL);
    let more = rules(&[
        "{sourceLabels: {app: webapp}}",
        "{sourceNamespace: other}",
        "{sourceLabels: {app: catalog}}",
    ]);
    // Something that asks webapp too, about a service that nobody routes.
    let more = format!(
        "{more}---\nkind: DestinationRule\nmetadata: {{name: far, namespace: shop}}\nspec: {{host: nowhere.example.com, workloadSelector: {{matchLabels: {{app: webapp}}}}}}\n"
    );
    let more = lowered(&more, &LOCAL);
    let webapp = pod("shop/webapp");
    assert_eq!(few.classes[&webapp], more.classes[&webapp]);
    assert!(more.class_names.len() > few.class_names.len());
}

#[test]
fn a_rule_that_comes_to_the_same_makes_no_class() {
    let text = format!(
        "{CATALOG}---\nkind: DestinationRule\nmetadata: {{name: catalog, namespace: other}}\nspec: {{host: catalog.shop.svc.cluster.local}}\n"
    );
    let desired = lowered(&text, &LOCAL);
    assert!(desired.classes.is_empty());
    assert_eq!(port(&desired, "shop/catalog", 80).views.len(), 1);
}

#[test]
fn a_subset_that_only_the_clients_namespace_defines() {
    let text = rules(&["{sourceNamespace: other}"]).replace("subset: v2", "subset: own");
    let text = format!(
        "{text}---\nkind: DestinationRule\nmetadata: {{name: catalog, namespace: other}}\nspec: {{host: catalog.shop.svc.cluster.local, subsets: [{{name: own, labels: {{version: v1}}}}]}}\n"
    );
    let desired = lowered(&text, &LOCAL);
    let class = desired.classes[&pod("other/client")];
    assert_eq!(
        shown(route_of(&desired, "shop/catalog", 80, class)),
        ["catalog.shop:80/own 1 [10.10.0.12:3000]"]
    );
}

#[test]
fn numbers_are_never_0_and_give_way_to_others() {
    let text = "app=webapp";
    let free = number(text, &BTreeMap::new());
    assert_ne!(free, 0);
    let taken = BTreeMap::from([(free, "app=other".to_owned())]);
    assert_eq!(number(text, &taken), free.wrapping_add(1).max(1));
    assert_eq!(
        number(text, &BTreeMap::from([(free, text.to_owned())])),
        free
    );
}
