//! Whose DNS answers are believed: the cluster's DNS service and its endpoints.

use std::{collections::BTreeSet, net::IpAddr};

use crate::desired::{host, registry::Registry, settings::Settings};

/// Where Kubernetes keeps its DNS.
const NAMESPACE: &str = "kube-system";
/// What it calls it, whatever answers.
const NAMES: [&str; 2] = ["kube-dns", "coredns"];
/// The label by which it is known.
const LABEL: (&str, &str) = ("k8s-app", "kube-dns");

/// Those that the agent was told of, else the cluster's.
pub(super) fn find(registry: &Registry, settings: &Settings) -> BTreeSet<IpAddr> {
    if !settings.dns.is_empty() {
        return settings.dns.iter().copied().collect();
    }
    let named = NAMES.map(|name| host::full_name(name, NAMESPACE, &settings.domain));
    let hosts = registry.hosts.values().filter(|host| {
        let labels = host.origin.service().map(|object| &object.meta.labels);
        let labelled =
            labels.is_some_and(|labels| labels.get(LABEL.0).is_some_and(|is| is == LABEL.1));
        host.namespace() == NAMESPACE && (labelled || named.contains(&host.name))
    });
    hosts
        .flat_map(|host| {
            let ports = host.ports.iter();
            let endpoints = ports.flat_map(|port| port.candidates.iter());
            let own = host.addresses.iter().copied();
            own.chain(endpoints.map(|found| found.endpoint.ip))
        })
        .collect()
}
