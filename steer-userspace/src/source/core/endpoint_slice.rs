//! EndpointSlice (`discovery.k8s.io/v1`).

use serde::Deserialize;

use crate::source::object::Kind;

/// Label that names the Service of a slice.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The content of an EndpointSlice (it has no `spec`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// IPv4, IPv6, FQDN.
    pub address_type: String,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
    /// The ports of each of them.
    pub ports: Vec<SlicePort>,
}

impl Kind for EndpointSlice {
    const KIND: &'static str = "EndpointSlice";
}

/// `endpoints[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceEndpoint {
    /// Its addresses; they are interchangeable, the first is used.
    pub addresses: Vec<String>,
    /// Whether it may be used.
    pub conditions: Conditions,
    /// The node it runs on.
    pub node_name: Option<String>,
    /// The zone it runs in.
    pub zone: Option<String>,
    /// What it is, a Pod as a rule.
    pub target_ref: Option<TargetRef>,
}

/// `endpoints[].conditions`; absent means unknown, which counts as ready and serving.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Conditions {
    /// Serving and not terminating.
    pub ready: Option<bool>,
    /// Passes its readiness probe.
    pub serving: Option<bool>,
    /// Is being deleted.
    pub terminating: Option<bool>,
}

/// `endpoints[].targetRef`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// Pod, as a rule.
    pub kind: String,
    /// Its namespace; the slice's by default.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// `ports[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: Option<String>,
    /// The pods' port, already resolved.
    pub port: Option<u16>,
    /// TCP (default), UDP, SCTP.
    pub protocol: Option<String>,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}
