//! Pod (`v1`): who asks, and what an endpoint's labels are.

use serde::Deserialize;

use crate::source::object::Kind;

/// The parts of a Pod's `spec` and `status` that are read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// `spec.nodeName`.
    pub node_name: Option<String>,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.serviceAccountName`.
    pub service_account_name: Option<String>,
    /// `spec.containers`.
    pub containers: Vec<Container>,
    /// `spec.initContainers`: sidecars among them, since they may stay.
    pub init_containers: Vec<Container>,
    /// `status`.
    #[serde(skip)]
    pub status: PodStatus,
}

impl Kind for Pod {
    const KIND: &'static str = "Pod";
}

/// `spec.containers[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its ports; a Service's `targetPort` may name one.
    pub ports: Vec<ContainerPort>,
}

/// `spec.containers[].ports[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub container_port: u16,
    /// The node's port that leads to it.
    pub host_port: Option<u16>,
    /// TCP (default), UDP, SCTP.
    pub protocol: Option<String>,
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed.
    pub phase: Option<String>,
    /// Its first address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// All addresses, at most one a family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
    /// Ready and others.
    pub conditions: Vec<PodCondition>,
}

/// `status.podIPs[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// `status.conditions[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodCondition {
    /// E.g. Ready.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False, Unknown.
    pub status: String,
}

impl Pod {
    /// Its addresses, as far as they can be read.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> + '_ {
        let all = self.status.pod_ips.iter().map(|found| found.ip.as_str());
        let first = self
            .status
            .pod_ip
            .as_deref()
            .filter(|_| self.status.pod_ips.is_empty());
        all.chain(first).filter_map(|text| text.parse().ok())
    }

    /// The names of its containers, those that run first among them.
    pub fn container_names(&self) -> impl Iterator<Item = &str> {
        let all = self.init_containers.iter().chain(&self.containers);
        all.map(|container| container.name.as_str())
    }

    /// Whether it counts as an endpoint when no endpoint slice says so.
    pub fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|found| found.kind == "Ready" && found.status == "True")
    }
}
