//! Sidecar: what the workloads it selects may see and reach.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ConnectionPool, Destination, ListenerPort, ServerTls};
use crate::source::object::Kind;

/// `Sidecar.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Which workloads of its namespace; all of them if there is none.
    pub workload_selector: Option<SidecarSelector>,
    /// What arrives.
    pub ingress: Vec<Ingress>,
    /// What they see.
    pub egress: Vec<Egress>,
    /// Limits of what arrives.
    pub inbound_connection_pool: Option<ConnectionPool>,
    /// What becomes of connections to what the registry does not name.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

impl Kind for Sidecar {
    const KIND: &'static str = "Sidecar";
}

/// `workloadSelector`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarSelector {
    /// All must hold.
    pub labels: BTreeMap<String, String>,
}

/// `ingress[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// Where it listens.
    pub port: Option<ListenerPort>,
    /// On which address.
    pub bind: Option<String>,
    /// How traffic gets there.
    pub capture_mode: Option<String>,
    /// Where it goes.
    pub default_endpoint: Option<String>,
    /// TLS at the listener.
    pub tls: Option<ServerTls>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
}

/// `egress[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Egress {
    /// The only port it is for.
    pub port: Option<ListenerPort>,
    /// On which address.
    pub bind: Option<String>,
    /// How traffic gets there.
    pub capture_mode: Option<String>,
    /// `NAMESPACE/HOST`: what is seen.
    pub hosts: Vec<String>,
}

/// `outboundTrafficPolicy`, of a Sidecar and of the mesh.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// `REGISTRY_ONLY`, `ALLOW_ANY`, `ALLOW_ANY_DYNAMIC_DNS`.
    pub mode: Option<String>,
    /// Where unknown traffic goes.
    pub egress_proxy: Option<Destination>,
}

/// What becomes of connections to what the registry does not name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outbound {
    /// They go where they are dialled.
    AllowAny,
    /// They are refused.
    RegistryOnly,
}

impl Outbound {
    /// From `mode`. Of a Sidecar, a policy without a mode is `REGISTRY_ONLY`: it is the first word
    /// of the API's enumeration there, and of the mesh's.
    pub fn of(policy: &OutboundTrafficPolicy) -> Self {
        match policy.mode.as_deref() {
            Some("ALLOW_ANY" | "ALLOW_ANY_DYNAMIC_DNS") => Self::AllowAny,
            _ => Self::RegistryOnly,
        }
    }

    /// As configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowAny => "ALLOW_ANY",
            Self::RegistryOnly => "REGISTRY_ONLY",
        }
    }
}
