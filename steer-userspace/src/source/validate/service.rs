//! Service, as far as an API server would refuse it and steering depends on it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    checks::Checks,
    names::{is_label, port_name},
};
use crate::source::{
    core::{Service, ServicePort, TargetPort},
    object::Meta,
};

/// What is wrong with a Service.
pub fn service(meta: &Meta, spec: &Service) -> Checks {
    let mut checks = Checks::default();
    if !is_label(&meta.name) {
        let message = format!("{:?} is not the name of a Service", meta.name);
        checks.error(
            "metadata.name",
            message,
            "use lower-case letters, digits and -",
        );
    }
    let kinds = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    checks.one_of("spec.type", spec.kind.as_deref(), &kinds);
    addresses(&mut checks, spec);
    ports(&mut checks, &spec.ports);
    checks.labels("spec.selector", &spec.selector);
    affinity(&mut checks, spec);
    checks
}

fn addresses(checks: &mut Checks, spec: &Service) {
    let cluster = spec
        .cluster_ip
        .iter()
        .map(|text| ("spec.clusterIP".to_owned(), text));
    let clusters = spec
        .cluster_ips
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("spec.clusterIPs[{index}]"), text));
    for (field, text) in cluster.chain(clusters) {
        if !text.is_empty() && text != "None" && text.parse::<IpAddr>().is_err() {
            checks.error(
                field,
                format!("{text:?} is not an address"),
                "use an address or None",
            );
        }
    }
    let first = spec.cluster_ip.as_deref().filter(|text| !text.is_empty());
    if let (Some(first), Some(other)) = (first, spec.cluster_ips.first())
        && first != other
    {
        checks.error(
            "spec.clusterIPs[0]",
            format!("{other} is not the clusterIP {first}"),
            "make them equal, or leave one out",
        );
    }
}

/// An API server would refuse ports that names do not tell apart.
const SLICES: &str = "endpoint slices find ports by name: give each its own";

fn ports(checks: &mut Checks, ports: &[ServicePort]) {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let name = format!("{field}.name");
        if port.name.is_empty() {
            if ports.len() > 1 {
                checks.warn(&name, "one of several ports has no name", SLICES);
            }
        } else {
            checks.named(&name, &port.name, port_name(&port.name), "rename the port");
            if !names.insert(&port.name) {
                checks.warn(name, format!("{} is there twice", port.name), SLICES);
            }
        }
        checks.port(&format!("{field}.port"), Some(port.port.into()));
        protocol(
            checks,
            &format!("{field}.protocol"),
            port.protocol.as_deref(),
        );
        if !numbers.insert((port.port, port.protocol.as_deref().unwrap_or("TCP"))) {
            let message = format!("port {} is there twice", port.port);
            checks.error(format!("{field}.port"), message, "remove one");
        }
        if port.target_port == Some(TargetPort::Number(0)) {
            checks.error(
                format!("{field}.targetPort"),
                "0 is no port",
                "mend the number",
            );
        }
    }
}

/// TCP, UDP or SCTP.
pub(super) fn protocol(checks: &mut Checks, field: &str, protocol: Option<&str>) {
    checks.one_of(field, protocol, &["TCP", "UDP", "SCTP"]);
}

const DAY_SECS: u32 = 86_400;

fn affinity(checks: &mut Checks, spec: &Service) {
    checks.one_of(
        "spec.sessionAffinity",
        spec.session_affinity.as_deref(),
        &["None", "ClientIP"],
    );
    let config = spec.session_affinity_config.as_ref();
    let timeout = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    if let Some(timeout) = timeout.filter(|secs| !(1..=DAY_SECS).contains(secs)) {
        checks.error(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            format!("{timeout} is not between 1 and {DAY_SECS}"),
            "use at most a day",
        );
    }
}
