use std::{collections::BTreeSet, sync::Arc};

use super::Resolved;
use crate::desired::{
    Desired, Lowering, Settings,
    fixture::{lowered, route, shown, snapshot},
};

const STATIC: &str = "
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example]
  addresses: [240.1.1.1, 240.1.1.2]
  ports:
  - {number: 5432, name: tcp, protocol: TCP, targetPort: 5433}
  resolution: STATIC
  endpoints:
  - {address: 192.0.2.1, labels: {version: v1}}
  - {address: 192.0.2.2, labels: {version: v2}, ports: {tcp: 6000}}
---
kind: DestinationRule
metadata: {name: db, namespace: shop}
spec:
  host: db.example
  subsets:
  - {name: v2, labels: {version: v2}}
---
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example]
  tcp:
  - route:
    - {destination: {host: db.example, subset: v2}}
";

fn addresses(desired: &Desired, host: &str) -> Vec<String> {
    let mut services = desired.services.iter();
    let service = services.find(|service| service.host == host).unwrap();
    service.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn static_endpoints_are_steered_to_by_subset() {
    let desired = lowered(STATIC, &[]);
    assert_eq!(
        addresses(&desired, "db.example"),
        ["240.1.1.1", "240.1.1.2"]
    );
    let route = route(&desired, "shop/db.example", 5432);
    assert_eq!(shown(route), ["db.example:5432/v2 1 [192.0.2.2:6000]"]);
}

#[test]
fn names_are_resolved_by_the_agent() {
    let snapshot = snapshot(
        "
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [A.example]
  addresses: [240.1.1.1]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
",
    );
    let mut lowering = Lowering::new(Settings::default());
    let none = BTreeSet::new();
    let desired = lowering.lower(&snapshot, &none);
    assert_eq!(
        shown(route(&desired, "shop/a.example", 443)),
        ["a.example:443 1 []"]
    );
    let mut resolved = Resolved::new();
    let found = ["192.0.2.7", "192.0.2.8"].map(|text| text.parse().unwrap());
    resolved.insert("a.example".to_owned(), BTreeSet::from(found));
    lowering.resolved(Arc::new(resolved));
    let desired = lowering.lower(&snapshot, &none);
    assert_eq!(
        shown(route(&desired, "shop/a.example", 443)),
        ["a.example:443 1 [192.0.2.7:443 192.0.2.8:443]"]
    );
}

#[test]
fn pods_and_workload_entries_are_selected() {
    let desired = lowered(
        "
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example]
  addresses: [240.1.1.1]
  location: MESH_INTERNAL
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  workloadSelector: {labels: {app: a}}
---
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
status: {podIPs: [{ip: 10.0.0.1}], conditions: [{type: Ready, status: \"True\"}]}
---
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 192.0.2.9, labels: {app: a}, ports: {http: 81}}
---
kind: WorkloadEntry
metadata: {name: vm, namespace: other}
spec: {address: 192.0.2.10, labels: {app: a}}
",
        &[],
    );
    assert_eq!(
        shown(route(&desired, "shop/a.example", 80)),
        ["a.example:80 1 [10.0.0.1:8080 192.0.2.9:81]"]
    );
}

#[test]
fn an_address_is_that_of_the_first_entry() {
    let entry = |name: &str, addresses: &str| {
        format!(
            "kind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
             hosts: [{name}.example]\n  addresses: {addresses}\n  resolution: NONE\n  \
             ports: [{{number: 99, name: tcp, protocol: TCP}}]\n---\n"
        )
    };
    let text = entry("a", "[192.0.2.1]") + &entry("b", "[192.0.2.1]") + &entry("c", "[10.0.0.0/8]");
    let desired = lowered(&text, &[]);
    assert_eq!(addresses(&desired, "a.example"), ["192.0.2.1"]);
    assert!(addresses(&desired, "b.example").is_empty());
    assert!(addresses(&desired, "c.example").is_empty());
    assert_eq!(
        shown(route(&desired, "shop/a.example", 99)),
        ["a.example:99 1 [192.0.2.1:99]"]
    );
}
