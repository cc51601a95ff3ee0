use crate::desired::fixture::{CATALOG, lowered, route, shown};

/// A service, and a slice with these endpoints.
fn with_slice(service: &str, endpoints: &str) -> String {
    format!(
        "
kind: Service
metadata: {{name: s, namespace: ns}}
spec: {{clusterIP: 10.200.0.1, selector: {{app: s}}, ports: [{{name: http, port: 80}}]{service}}}
---
kind: EndpointSlice
metadata: {{name: s-1, namespace: ns, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}, {{name: other, port: 9}}]
endpoints: {endpoints}
"
    )
}

fn endpoints(text: &str) -> String {
    let desired = lowered(text, &[]);
    shown(route(&desired, "ns/s", 80)).remove(0)
}

#[test]
fn ready_ones_only() {
    let text = with_slice(
        "",
        "
- {addresses: [10.0.0.4], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.3], conditions: {ready: false}}
- {addresses: [10.0.0.2], conditions: {ready: true}}
- {addresses: [10.0.0.1]}",
    );
    assert_eq!(endpoints(&text), "s.ns:80 1 [10.0.0.1:8080 10.0.0.2:8080]");
}

#[test]
fn while_none_is_ready_those_that_end_but_serve() {
    let text = with_slice(
        "",
        "
- {addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [10.0.0.3], conditions: {ready: false, serving: true}}",
    );
    assert_eq!(endpoints(&text), "s.ns:80 1 [10.0.0.1:8080]");
}

#[test]
fn all_of_them_if_the_service_says_so() {
    let text = with_slice(
        ", publishNotReadyAddresses: true",
        "[{addresses: [10.0.0.1], conditions: {ready: false}}]",
    );
    assert_eq!(endpoints(&text), "s.ns:80 1 [10.0.0.1:8080]");
}

#[test]
fn one_place_counts_once_and_by_its_better_condition() {
    let text = with_slice(
        "",
        "
- {addresses: [10.0.0.1], conditions: {ready: false}}
- {addresses: [10.0.0.1], conditions: {ready: true}}
- {addresses: [10.0.0.1], conditions: {ready: true}}",
    );
    assert_eq!(endpoints(&text), "s.ns:80 1 [10.0.0.1:8080]");
}

#[test]
fn an_empty_slice_is_no_reason_to_look_at_pods() {
    let pod = "---
kind: Pod
metadata: {name: s-1, namespace: ns, labels: {app: s}}
status: {podIP: 10.0.0.9, conditions: [{type: Ready, status: 'True'}]}";
    let text = format!("{}{pod}", with_slice("", "[]"));
    assert_eq!(endpoints(&text), "s.ns:80 1 []");
}

#[test]
fn without_slices_the_ready_pods_by_named_port_and_family() {
    let text = "
kind: Service
metadata: {name: s, namespace: ns}
spec: {clusterIP: 10.200.0.1, selector: {app: s, tier: a}, ports: [{port: 80, targetPort: web}]}
---
kind: Pod
metadata: {name: ready, namespace: ns, labels: {app: s, tier: a}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 53, protocol: UDP}, {name: web, containerPort: 8080}]}]}
status:
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
  conditions: [{type: Ready, status: 'True'}]
---
kind: Pod
metadata: {name: not-ready, namespace: ns, labels: {app: s, tier: a}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: 'False'}]}
---
kind: Pod
metadata: {name: other-label, namespace: ns, labels: {app: s, tier: b}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.3, conditions: [{type: Ready, status: 'True'}]}
---
kind: Pod
metadata: {name: other-namespace, namespace: m, labels: {app: s, tier: a}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.4, conditions: [{type: Ready, status: 'True'}]}
---
kind: Pod
metadata: {name: without-port, namespace: ns, labels: {app: s, tier: a}}
status: {podIP: 10.0.0.5, conditions: [{type: Ready, status: 'True'}]}
---
kind: Pod
metadata: {name: ended, namespace: ns, labels: {app: s, tier: a}}
spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.6, phase: Succeeded, conditions: [{type: Ready, status: 'True'}]}
";
    assert_eq!(endpoints(text), "s.ns:80 1 [10.0.0.1:8080]");
    let dual = text.replace(
        "clusterIP: 10.200.0.1",
        "clusterIP: 10.200.0.1, clusterIPs: [10.200.0.1, 'fd00:200::1']",
    );
    assert_eq!(endpoints(&dual), "s.ns:80 1 [10.0.0.1:8080 fd00::1:8080]");
}

#[test]
fn subsets_select_by_the_pod_and_by_where_it_runs() {
    let rule = |labels: &str| {
        format!(
            "{CATALOG}---
kind: EndpointSlice
metadata: {{name: catalog-2, namespace: shop, labels: {{kubernetes.io/service-name: catalog}}}}
addressType: IPv4
ports: [{{name: http, port: 3000}}]
endpoints:
- {{addresses: [10.10.0.40], zone: z1, nodeName: n1}}
- {{addresses: [10.10.0.20], zone: z2}}
---
kind: DestinationRule
metadata: {{name: more, namespace: shop, creationTimestamp: 2020-01-01T00:00:00Z}}
spec: {{host: catalog, subsets: [{{name: some, labels: {labels}}}]}}
---
kind: VirtualService
metadata: {{name: catalog, namespace: shop}}
spec: {{hosts: [catalog], http: [{{route: [{{destination: {{host: catalog, subset: some}}}}]}}]}}
"
        )
    };
    let of = |labels: &str| {
        let desired = lowered(&rule(labels), &[]);
        shown(route(&desired, "shop/catalog", 80)).remove(0)
    };
    assert_eq!(
        of("{version: v2}"),
        "catalog.shop:80/some 1 [10.10.0.13:3000]"
    );
    // By address: the slice does not name the pod.
    assert_eq!(
        of("{app: webapp}"),
        "catalog.shop:80/some 1 [10.10.0.20:3000]"
    );
    assert_eq!(
        of("{topology.kubernetes.io/zone: z1}"),
        "catalog.shop:80/some 1 [10.10.0.40:3000]"
    );
    assert_eq!(
        of("{kubernetes.io/hostname: n1}"),
        "catalog.shop:80/some 1 [10.10.0.40:3000]"
    );
    assert_eq!(
        of("{}"),
        "catalog.shop:80/some 1 [10.10.0.12:3000 10.10.0.13:3000 10.10.0.20:3000 10.10.0.40:3000]"
    );
    assert_eq!(of("{version: v3}"), "catalog.shop:80/some 1 []");
}
