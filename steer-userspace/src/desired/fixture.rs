//! Snapshots for the tests of this module, from YAML text.

use std::collections::BTreeSet;

use super::{
    Desired, Settings,
    client::{Client, Labels},
    lower,
    model::{Destination, PodRef, Port, Route, Service, View},
};
use crate::source::{Snapshot, files::parse_text};

/// The objects of a YAML stream; `apiVersion` may be left out. Findings of the reader fail the
/// test.
pub(super) fn snapshot(text: &str) -> Snapshot {
    let mut documents = String::new();
    for document in text
        .split("\n---")
        .filter(|document| !document.trim().is_empty())
    {
        let kind = document
            .split("kind: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let version = match kind {
            "EndpointSlice" => "discovery.k8s.io/v1",
            "VirtualService" | "DestinationRule" | "ServiceEntry" | "WorkloadEntry" | "Sidecar"
            | "Gateway" => "networking.istio.io/v1",
            "Telemetry" => "telemetry.istio.io/v1",
            _ => "v1",
        };
        documents.push_str(&format!(
            "apiVersion: {version}\n{}\n---\n",
            document.trim_start_matches('-')
        ));
    }
    let (objects, findings) = parse_text("input.yaml", &documents).unwrap();
    assert_eq!(findings, [], "{documents}");
    Snapshot::from_objects(objects, findings)
}

/// Lowers a YAML stream for the pods that are named `namespace/name`.
pub(super) fn lowered(text: &str, local: &[&str]) -> Desired {
    lower(&snapshot(text), &Settings::default(), &pods(local))
}

pub(super) fn pods(names: &[&str]) -> BTreeSet<PodRef> {
    names.iter().map(|name| pod(name)).collect()
}

pub(super) fn pod(name: &str) -> PodRef {
    let (namespace, name) = name.split_once('/').unwrap();
    PodRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// The port of `namespace/name`.
pub(super) fn port<'d>(desired: &'d Desired, service: &str, number: u16) -> &'d Port {
    let at = pod(service);
    let named = |service: &&std::sync::Arc<Service>| {
        (&service.namespace, &service.name) == (&at.namespace, &at.name)
    };
    let service = desired.services.iter().find(named).unwrap();
    service
        .ports
        .iter()
        .find(|port| port.number == number)
        .unwrap()
}

/// What class 0 sees.
pub(super) fn route<'d>(desired: &'d Desired, service: &str, number: u16) -> &'d Route {
    route_of(desired, service, number, 0)
}

/// What a class sees.
pub(super) fn route_of<'d>(
    desired: &'d Desired,
    service: &str,
    number: u16,
    class: u32,
) -> &'d Route {
    let views = &port(desired, service, number).views;
    match views.get(&class).unwrap_or(&views[&0]) {
        View::Route(route) => route,
        View::Hidden => panic!("{service} is hidden"),
    }
}

/// Destinations as text: `host:port/subset weight [endpoints]`.
pub(super) fn shown(route: &Route) -> Vec<String> {
    let one = |to: &Destination| {
        let subset = to
            .subset
            .as_deref()
            .map(|subset| format!("/{subset}"))
            .unwrap_or_default();
        let endpoints: Vec<String> = to
            .endpoints
            .iter()
            .map(|at| format!("{}:{}", at.ip, at.port))
            .collect();
        format!(
            "{}:{}{subset} {} [{}]",
            to.host.replace(".svc.cluster.local", ""),
            to.port,
            to.weight,
            endpoints.join(" ")
        )
    };
    route.destinations.iter().map(one).collect()
}

/// Codes and fields of the findings.
pub(super) fn findings(desired: &Desired) -> Vec<String> {
    let some = desired.findings.iter();
    some.map(|finding| format!("{} {}", finding.code, finding.field))
        .collect()
}

/// A catalog with two versions, as most tests want it.
pub(super) const CATALOG: &str = "
kind: Service
metadata: {name: catalog, namespace: shop}
spec:
  clusterIP: 10.200.1.92
  selector: {app: catalog}
  ports: [{name: http, port: 80, targetPort: 3000}]
---
kind: EndpointSlice
metadata: {name: catalog-1, namespace: shop, labels: {kubernetes.io/service-name: catalog}}
addressType: IPv4
ports: [{name: http, port: 3000, protocol: TCP}]
endpoints:
- {addresses: [10.10.0.13], conditions: {ready: true}, targetRef: {kind: Pod, name: catalog-v2}}
- {addresses: [10.10.0.12], conditions: {ready: true}, targetRef: {kind: Pod, name: catalog-v1}}
---
kind: Pod
metadata: {name: catalog-v1, namespace: shop, labels: {app: catalog, version: v1}}
status: {podIP: 10.10.0.12, conditions: [{type: Ready, status: 'True'}]}
---
kind: Pod
metadata: {name: catalog-v2, namespace: shop, labels: {app: catalog, version: v2}}
status: {podIP: 10.10.0.13, conditions: [{type: Ready, status: 'True'}]}
---
kind: Pod
metadata: {name: webapp, namespace: shop, labels: {app: webapp}}
status: {podIP: 10.10.0.20}
---
kind: Pod
metadata: {name: client, namespace: other, labels: {app: client}}
status: {podIP: 10.10.0.21}
---
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec:
  host: catalog
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
";

/// A client of a namespace, without labels.
pub(super) fn client(namespace: &str) -> Client<'_> {
    static NONE: Labels = Labels::new();
    Client::new(Some(namespace), &NONE)
}
