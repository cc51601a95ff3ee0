//! What the whole configuration is read with.

use std::net::IpAddr;

use super::egress::Strictness;
use crate::source::{
    Object,
    istio::{Outbound, VirtualService},
    subnet::Subnet,
};

/// Settings of the mesh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The cluster's DNS domain.
    pub domain: String,
    /// The namespace whose DestinationRules hold where no nearer one does.
    pub root_namespace: String,
    /// How an `http:` split is made where `steer.dev/split` does not say.
    pub split: SplitMode,
    /// What becomes of connections to what the registry does not name, if the agent was told;
    /// otherwise the mesh's configuration says it.
    pub outbound: Option<Outbound>,
    /// Whether the registry's limit is enforced or audited, if the agent was told.
    pub strictness: Option<Strictness>,
    /// Whose DNS answers are believed; if there are none, the cluster's DNS service.
    pub dns: Vec<IpAddr>,
    /// Networks inside the cluster: no name outside is believed to be there.
    pub cluster_nets: Vec<Subnet>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
            split: SplitMode::Auto,
            outbound: None,
            strictness: None,
            dns: Vec::new(),
            cluster_nets: Vec::new(),
        }
    }
}

/// When the destination of a request is drawn (`steer.dev/split`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SplitMode {
    /// Once a connection.
    Connection,
    /// Once a request.
    Request,
    /// Once a connection for as long as that keeps the promise.
    #[default]
    Auto,
}

/// The host that copies of requests are sent with (`steer.dev/mirror-host`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MirrorHost {
    /// With `-shadow`, as in Istio up to 1.27.
    #[default]
    Shadow,
    /// As the request has it, as in Istio from 1.28 on.
    Same,
}

impl MirrorHost {
    /// The annotation that sets it on a VirtualService.
    pub const ANNOTATION: &'static str = "steer.dev/mirror-host";

    /// What a VirtualService says, if it says it so that it is understood.
    pub fn of(object: &Object<VirtualService>) -> Self {
        let text = object.meta.annotations.get(Self::ANNOTATION);
        text.and_then(|text| Self::parse(text)).unwrap_or_default()
    }

    /// From the annotation's text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "shadow" => Some(Self::Shadow),
            "same" => Some(Self::Same),
            _ => None,
        }
    }
}

impl SplitMode {
    /// The annotation that sets it on a VirtualService.
    pub const ANNOTATION: &'static str = "steer.dev/split";

    /// What a VirtualService says, if it says it so that it is understood.
    pub fn of(object: &Object<VirtualService>) -> Option<Self> {
        let text = object.meta.annotations.get(Self::ANNOTATION);
        text.and_then(|text| Self::parse(text))
    }

    /// From the annotation's text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "connection" => Some(Self::Connection),
            "request" => Some(Self::Request),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}
