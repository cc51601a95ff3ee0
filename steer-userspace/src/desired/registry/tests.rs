use super::*;
use crate::desired::fixture::{CATALOG, findings, lowered, port, route, shown, snapshot};

fn names(changed: &BTreeSet<String>) -> Vec<String> {
    let short = changed
        .iter()
        .map(|name| name.replace(".svc.cluster.local", ""));
    short.collect()
}

#[test]
fn affinity_has_a_default_and_may_say_how_long() {
    let with = |text: &str| CATALOG.replacen("spec:", &format!("spec:\n  {text}"), 1);
    let secs = |text: &str| port(&lowered(&with(text), &[]), "shop/catalog", 80).affinity_secs;
    assert_eq!(secs("sessionAffinity: None"), None);
    assert_eq!(secs("sessionAffinity: ClientIP"), Some(10_800));
    assert_eq!(
        secs(
            "sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"
        ),
        Some(60)
    );
}

#[test]
fn services_without_address_cannot_be_dialled_but_routed_to() {
    let text = CATALOG.replacen("clusterIP: 10.200.1.92", "clusterIP: None", 1);
    let text = format!(
        "{text}---
kind: Service
metadata: {{name: front, namespace: shop}}
spec: {{clusterIP: 10.200.1.1, ports: [{{name: http, port: 8000}}]}}
---
kind: VirtualService
metadata: {{name: front, namespace: shop}}
spec: {{hosts: [front, catalog], http: [{{route: [{{destination: {{host: catalog}}}}]}}]}}
"
    );
    let desired = lowered(&text, &[]);
    let catalog = desired
        .services
        .iter()
        .find(|service| service.name == "catalog")
        .unwrap();
    assert_eq!(catalog.addresses, Vec::<IpAddr>::new());
    assert_eq!(
        shown(route(&desired, "shop/front", 8000)),
        ["catalog.shop:80 1 [10.10.0.12:3000 10.10.0.13:3000]"]
    );
    assert_eq!(findings(&desired), ["STR0305 spec.hosts[1]"]);
}

#[test]
fn the_first_service_keeps_an_address() {
    let service = |name: &str, ips: &str| {
        format!(
            "---\nkind: Service\nmetadata: {{name: {name}, namespace: ns}}\nspec: {{clusterIPs: {ips}, ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    let text = service("a", "[10.0.0.1]") + &service("b", "[10.0.0.1, 'fd00::2']");
    let desired = lowered(&text, &[]);
    let addresses: Vec<_> = desired
        .services
        .iter()
        .map(|service| &service.addresses)
        .collect();
    assert_eq!(
        addresses,
        [
            &["10.0.0.1".parse::<IpAddr>().unwrap()],
            &["fd00::2".parse().unwrap()]
        ]
    );
    assert_eq!(findings(&desired), ["STR0308 spec.clusterIPs"]);
}

#[test]
fn ways_in_that_are_not_steered_are_found() {
    let text = "
kind: Service
metadata: {name: s, namespace: ns}
spec:
  type: NodePort
  clusterIP: 10.0.0.1
  externalIPs: [1.2.3.4]
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
  ports: [{name: tcp, port: 80}, {name: sctp, port: 81, protocol: SCTP}, {name: udp, port: 80, protocol: UDP}]
---
kind: Service
metadata: {name: t, namespace: ns}
spec: {type: ExternalName, externalName: example.com}
---
kind: EndpointSlice
metadata: {name: lost, namespace: ns}
addressType: IPv4
endpoints: []
---
kind: EndpointSlice
metadata: {name: s, namespace: ns, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{name: tcp}]
endpoints: [{addresses: [10.0.0.9]}]
";
    let desired = lowered(text, &[]);
    assert_eq!(port(&desired, "ns/s", 80).proto, Proto::Tcp);
    assert_eq!(desired.services[0].ports.len(), 2);
    let mut found = findings(&desired);
    found.sort();
    assert_eq!(
        found,
        [
            "STR0303 spec.internalTrafficPolicy",
            "STR0303 spec.trafficDistribution",
            "STR0306 spec.externalIPs",
            "STR0306 spec.externalName",
            "STR0306 spec.ports[1].protocol",
            "STR0306 spec.type",
            "STR0314 metadata.labels",
            "STR0314 ports[0]",
        ]
    );
}

#[test]
fn only_what_changed_is_made_anew() {
    let mut registry = Registry::default();
    let other = "---\nkind: Service\nmetadata: {name: other, namespace: ns}\nspec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 80}]}\n";
    let mut first = snapshot(&format!("{CATALOG}{other}"));
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        ["catalog.shop", "other.ns"]
    );
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        Vec::<String>::new()
    );
    // A pod that no endpoint is: nothing.
    let webapp = first
        .pods
        .iter_mut()
        .find(|pod| pod.meta.name == "webapp")
        .unwrap();
    Arc::make_mut(webapp)
        .meta
        .labels
        .insert("a".to_owned(), "b".to_owned());
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        Vec::<String>::new()
    );
    // A pod's labels: the service whose endpoint it is.
    let pod = first
        .pods
        .iter_mut()
        .find(|pod| pod.meta.name == "catalog-v1")
        .unwrap();
    Arc::make_mut(pod)
        .meta
        .labels
        .insert("version".to_owned(), "v3".to_owned());
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        ["catalog.shop"]
    );
    // The same said by another object: nothing.
    let slice = Arc::new((*first.endpoint_slices[0]).clone());
    first.endpoint_slices[0] = slice;
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        Vec::<String>::new()
    );
    // An endpoint less.
    Arc::make_mut(&mut first.endpoint_slices[0])
        .spec
        .endpoints
        .pop();
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        ["catalog.shop"]
    );
    first
        .services
        .retain(|service| service.meta.name != "other");
    assert_eq!(
        names(&registry.update(&first, &Arc::default(), "cluster.local")),
        ["other.ns"]
    );
}

#[test]
fn wildcards_find_the_services_that_fit() {
    let mut registry = Registry::default();
    registry.update(&snapshot(CATALOG), &Arc::default(), "cluster.local");
    for (pattern, count) in [
        ("*", 1),
        ("*.cluster.local", 1),
        ("*.shop.svc.cluster.local", 1),
        ("*.other.svc.cluster.local", 0),
        ("catalog.shop.svc.cluster.local", 1),
        ("catalog", 0),
    ] {
        assert_eq!(registry.fitting(pattern).len(), count, "{pattern}");
    }
}
