//! Node (`v1`): which addresses are its pods' and its own.

use std::net::IpAddr;

use serde::Deserialize;

use crate::source::{object::Kind, subnet::Subnet};

/// The parts of a Node's `spec` and `status` that are read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// The networks that its pods' addresses are from, at most one a family.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
    /// `status`.
    #[serde(skip)]
    pub status: NodeStatus,
}

impl Kind for Node {
    const KIND: &'static str = "Node";
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its addresses and names.
    pub addresses: Vec<NodeAddress>,
}

/// `status.addresses[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address or name.
    pub address: String,
}

impl Node {
    /// The networks of its pods and its addresses inside the cluster, as far as they can be read.
    pub fn inside(&self) -> impl Iterator<Item = Subnet> + '_ {
        let pods = self.pod_cidrs.iter();
        let pods = pods.filter_map(|text| Some(Subnet::parse(text)?.network()));
        let own = self.status.addresses.iter();
        let own = own.filter(|found| found.kind == "InternalIP");
        let own = own.filter_map(|found| found.address.parse::<IpAddr>().ok());
        pods.chain(own.map(Subnet::of))
    }
}
