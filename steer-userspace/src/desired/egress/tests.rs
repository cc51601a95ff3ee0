use std::fmt::Write as _;

use super::{
    super::{Settings, fixture::snapshot, lower},
    model::{Egress, Policy},
};
use crate::{desired::fixture, source::istio::Outbound};

const PODS: &str = "
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
status: {podIPs: [{ip: 10.0.0.1}]}
---
kind: Pod
metadata: {name: job, namespace: other, labels: {app: job}}
status: {podIPs: [{ip: 10.0.0.2}]}
---
";

fn registry_only(text: &str) -> Egress {
    let settings = Settings {
        outbound: Some(Outbound::RegistryOnly),
        ..Settings::default()
    };
    let pods = fixture::pods(&["shop/web", "other/job"]);
    lower(&snapshot(&format!("{PODS}{text}")), &settings, &pods).egress
}

/// Networks and names as text, what is inside the cluster left out.
fn shown(policy: &Policy) -> String {
    let mut text = String::new();
    let mut group = |what: &str, group: &super::model::Group| {
        write!(text, "{what}:").unwrap();
        for (key, rule) in &group.ports {
            write!(text, " {}/{}/{}", key.port, key.proto, rule.check.name()).unwrap();
        }
        text.push('\n');
    };
    for (net, row) in &policy.nets {
        if let Some(found) = &row.group {
            group(&format!("{net} {}", found.name.text()), found);
        }
    }
    for (name, found) in &policy.names {
        group(name, found);
    }
    text
}

fn entry(name: &str, spec: &str) -> String {
    format!(
        "kind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n---\n"
    )
}

#[test]
fn names_are_held_to_what_their_port_speaks() {
    let egress = registry_only(&entry(
        "a",
        "hosts: [a.example, '*.b.example'], ports: [{number: 443, name: tls, protocol: TLS}, \
         {number: 80, name: http, protocol: HTTP}, {number: 50, name: grpc, protocol: GRPC}]",
    ));
    assert_eq!(
        shown(&egress.policies["*"]),
        "*.b.example: 50/TCP/ip 80/TCP/host 443/TCP/sni\n\
         a.example: 50/TCP/ip 80/TCP/host 443/TCP/sni\n"
    );
}

#[test]
fn a_longer_name_has_the_ports_of_the_wildcards_around_it() {
    let text = entry(
        "wide",
        "hosts: ['*.example'], ports: [{number: 443, name: a, protocol: TLS}]",
    ) + &entry(
        "narrow",
        "hosts: [a.example], resolution: DNS, ports: [{number: 22, name: a, protocol: TCP}]",
    );
    assert_eq!(
        shown(&registry_only(&text).policies["*"]),
        "*.example: 443/TCP/sni\na.example: 22/TCP/ip 443/TCP/sni\n"
    );
}

#[test]
fn a_narrower_network_says_what_the_wider_ones_say() {
    let tcp = |number: u16| format!("ports: [{{number: {number}, name: a, protocol: TCP}}]");
    let text = entry(
        "wide",
        &format!("hosts: [a.b], addresses: [192.0.2.7/24], {}", tcp(1)),
    ) + &entry(
        "narrow",
        &format!("hosts: [b.b], addresses: [192.0.2.9], {}", tcp(2)),
    );
    assert_eq!(
        shown(&registry_only(&text).policies["*"]),
        "192.0.2.0/24 a.b: 1/TCP/ip\n192.0.2.9 a.b + b.b: 1/TCP/ip 2/TCP/ip\n"
    );
}

#[test]
fn services_are_reached_by_address_and_endpoint() {
    let egress = registry_only(
        "
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
",
    );
    let policy = &egress.policies["*"];
    assert_eq!(
        shown(policy),
        "10.0.0.1 web.shop.svc.cluster.local: 8080/TCP/ip\n\
         10.96.0.1 web.shop.svc.cluster.local: 80/TCP/ip\n"
    );
    let inside = |net: &str| {
        let net = crate::source::subnet::Subnet::parse(net).unwrap();
        policy.nets[&net].never_learned
    };
    assert!(inside("10.96.0.1") && inside("10.0.0.2") && inside("127.0.0.0/8"));
}

#[test]
fn who_sees_an_entry_may_reach_it() {
    let egress = registry_only(&entry(
        "a",
        "hosts: [a.example], exportTo: ['.'], ports: [{number: 443, name: a, protocol: TLS}]",
    ));
    assert_eq!(shown(&egress.policies["*"]), "");
    assert_eq!(
        shown(&egress.policies["namespace=shop"]),
        "a.example: 443/TCP/sni\n"
    );
    let pods: Vec<_> = egress
        .pods
        .iter()
        .map(|(pod, name)| format!("{pod} {name}"))
        .collect();
    assert_eq!(pods, ["shop/web namespace=shop"]);
}

#[test]
fn the_nearest_sidecar_decides() {
    let sidecar = |name: &str, namespace: &str, spec: &str| {
        format!(
            "kind: Sidecar\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{{spec}}}\n---\n"
        )
    };
    let open = "outboundTrafficPolicy: {mode: ALLOW_ANY}";
    let own = "workloadSelector: {labels: {app: web}}, egress: [{hosts: ['./*']}]";
    let text = sidecar("all", "shop", open)
        + &sidecar("web", "shop", own)
        + &sidecar("root", "istio-system", open)
        + &entry(
            "a",
            "hosts: [a.b], ports: [{number: 1, name: a, protocol: TLS}]",
        );
    let egress = registry_only(&text);
    let modes: Vec<_> = egress
        .policies
        .values()
        .map(|policy| format!("{} {}", policy.name, policy.mode.name()))
        .collect();
    let web = "sidecar=shop/web;namespace=shop;mode=enforce";
    assert_eq!(modes, ["* open", "host open", &format!("{web} enforce")]);
    assert_eq!(shown(&egress.policies[web]), "a.b: 1/TCP/sni\n");
}

#[test]
fn the_nearest_annotation_says_how_strict() {
    let text = "
kind: Namespace
metadata: {name: other, annotations: {steer.dev/egress: audit}}
---
kind: Pod
metadata: {name: x, namespace: other, annotations: {steer.dev/egress: enforce}}
status: {podIPs: [{ip: 10.0.0.3}]}
";
    let settings = Settings {
        outbound: Some(Outbound::RegistryOnly),
        ..Settings::default()
    };
    let pods = fixture::pods(&["shop/web", "other/job", "other/x"]);
    let egress = lower(&snapshot(&format!("{PODS}{text}")), &settings, &pods).egress;
    let pods: Vec<_> = egress
        .pods
        .iter()
        .map(|(pod, name)| format!("{pod} {name}"))
        .collect();
    assert_eq!(pods, ["other/job mode=audit"]);
}

#[test]
fn resolvers_are_the_clusters_or_those_that_were_named() {
    let dns = "
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 53, protocol: UDP}]}
---
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {app: web}}
status: {podIPs: [{ip: 10.0.0.9}], conditions: [{type: Ready, status: \"True\"}]}
";
    let found = |settings: &Settings| {
        let desired = lower(&snapshot(dns), settings, &fixture::pods(&[]));
        let found = desired.egress.resolvers.iter();
        found.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(&Settings::default()), ["10.0.0.9", "10.96.0.10"]);
    let settings = Settings {
        dns: vec!["192.0.2.53".parse().unwrap()],
        ..Settings::default()
    };
    assert_eq!(found(&settings), ["192.0.2.53"]);
}
