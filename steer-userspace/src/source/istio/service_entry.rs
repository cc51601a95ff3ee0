//! ServiceEntry and WorkloadEntry: what the registry names besides Kubernetes' services.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::object::Kind;

/// `ServiceEntry.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Its names; a wildcard in front is allowed.
    pub hosts: Vec<String>,
    /// Addresses and networks that clients dial.
    pub addresses: Vec<String>,
    /// Its ports.
    pub ports: Vec<EntryPort>,
    /// `MESH_EXTERNAL` (default) or `MESH_INTERNAL`.
    pub location: Option<String>,
    /// `NONE` (default), `STATIC`, `DNS`, `DNS_ROUND_ROBIN`, `DYNAMIC_DNS`.
    pub resolution: Option<String>,
    /// Where connections go.
    pub endpoints: Vec<WorkloadEntry>,
    /// Which pods and WorkloadEntries connections go to, instead of `endpoints`.
    pub workload_selector: Option<EntrySelector>,
    /// Who may see it; empty means everyone.
    pub export_to: Vec<String>,
    /// Names that servers must have one of, with mutual TLS.
    pub subject_alt_names: Vec<String>,
}

impl Kind for ServiceEntry {
    const KIND: &'static str = "ServiceEntry";
}

/// `ServiceEntry.spec.ports[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntryPort {
    /// The number that clients dial.
    pub number: u32,
    /// What is spoken on it.
    pub protocol: String,
    /// Its name; endpoints refer to it.
    pub name: String,
    /// The endpoints' port, if it is another.
    pub target_port: Option<u32>,
}

/// `ServiceEntry.spec.workloadSelector`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntrySelector {
    /// All must hold.
    pub labels: BTreeMap<String, String>,
}

/// `ServiceEntry.spec.endpoints[]`, and `WorkloadEntry.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// An address, a name with resolution DNS, or `unix://PATH`.
    pub address: String,
    /// Port name -> its port.
    pub ports: BTreeMap<String, u32>,
    /// What subsets select by.
    pub labels: BTreeMap<String, String>,
    /// The network it is in.
    pub network: Option<String>,
    /// `region/zone/subzone`.
    pub locality: Option<String>,
    /// Its share of connections.
    pub weight: Option<u32>,
    /// Whom it runs as.
    pub service_account: Option<String>,
}

impl Kind for WorkloadEntry {
    const KIND: &'static str = "WorkloadEntry";
}

/// How the endpoints of an entry are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Connections go where they are dialled.
    None,
    /// To the endpoints.
    Static,
    /// To all addresses of a name.
    Dns,
    /// To the first address of a name.
    DnsRoundRobin,
    /// To the addresses of the name that is asked for.
    DynamicDns,
}

impl ServiceEntry {
    /// How its endpoints are found.
    pub fn resolves(&self) -> Resolution {
        match self.resolution.as_deref() {
            Some("STATIC") => Resolution::Static,
            Some("DNS") => Resolution::Dns,
            Some("DNS_ROUND_ROBIN") => Resolution::DnsRoundRobin,
            Some("DYNAMIC_DNS") => Resolution::DynamicDns,
            _ => Resolution::None,
        }
    }
}
