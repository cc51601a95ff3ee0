//! The meaning of a configuration, free of Istio's rules of precedence: they have been applied.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use steer_common::{
    Proto,
    service::{ClassId, Depth},
};

pub use crate::source::object::PodRef;

use super::{MirrorHost, egress::model::Egress, gateway::model::Listener};
use crate::{
    access_log::Format,
    finding::{Finding, ObjectRef, Position},
    source::istio::HttpRoute,
};

/// What the node shall do.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Services, by namespace and name.
    pub services: Vec<Arc<Service>>,
    /// Which class each pod of this node belongs to; absent means class 0.
    pub classes: BTreeMap<PodRef, ClassId>,
    /// What a class stands for, for listings: e.g. `namespace=shop,app=webapp`.
    pub class_names: BTreeMap<ClassId, String>,
    /// What pods may reach.
    pub egress: Egress,
    /// Whose requests have a line written.
    pub access_logs: AccessLogs,
    /// Where every node listens for traffic of outside.
    pub listeners: Vec<Listener>,
    /// What is not enforced, or only in part, or refused; sorted.
    pub findings: Vec<Finding>,
}

/// Whose requests and connections have a line written, where to, and how it looks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccessLogs {
    /// The file; `/dev/stdout` is the agent's own output.
    pub file: String,
    /// How a line looks.
    pub format: Format,
    /// The pods of this node that log. Others do not.
    pub pods: BTreeMap<PodRef, Sides>,
    /// The ports of nodes whose requests have lines, and in whose name: the Service of the gateway.
    pub gateways: BTreeMap<u16, PodRef>,
}

/// Of which side of a pod's traffic lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sides {
    /// What it asks.
    pub client: bool,
    /// What it is asked.
    pub server: bool,
}

/// One service of the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its fully qualified host name.
    pub host: String,
    /// Its addresses, at most one a family; none for a headless service.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// If a DestinationRule or a VirtualService names it: each of its ports, whole and by subset,
    /// whether or not a route leads there.
    pub clusters: Vec<Cluster>,
}

/// A part of a service that routes can lead to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// The host, fully qualified.
    pub host: String,
    /// The service port.
    pub port: u16,
    /// The subset; `None` is all of it.
    pub subset: Option<String>,
    /// The DestinationRules that define it, oldest first.
    pub destination_rules: Vec<ObjectRef>,
    /// Its usable endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl Cluster {
    /// As Envoy's clusters are named: `outbound|80|version-v1|catalog.shop.svc.cluster.local`.
    pub fn name(&self) -> String {
        cluster_name(&self.host, self.port, self.subset.as_deref())
    }
}

/// The name of a cluster.
pub fn cluster_name(host: &str, port: u16, subset: Option<&str>) -> String {
    format!("outbound|{port}|{}|{host}", subset.unwrap_or_default())
}

/// One port of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// The number that clients dial.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// The transport.
    pub proto: Proto,
    /// What is spoken on it, e.g. `HTTP`; as listings show it.
    pub protocol: String,
    /// Seconds of `sessionAffinity: ClientIP`.
    pub affinity_secs: Option<u32>,
    /// What each class of client sees. Class 0 is always there; a class that is not sees the same.
    pub views: BTreeMap<ClassId, View>,
}

/// What one class of client sees of a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum View {
    /// Not exported to it: connections are left as dialled.
    Hidden,
    /// A route.
    Route(Route),
}

/// Where connections go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// How deep one looks.
    pub depth: Depth,
    /// What made it.
    pub rule: Rule,
    /// Where to, in the rule's order, weights as written. If requests are looked at: where connections
    /// go whose requests cannot be.
    pub destinations: Vec<Destination>,
    /// The rules that look at requests, in order; what none of them takes is answered with 404. At a
    /// lesser depth, the one whose requests are copied or counted on their way.
    pub requests: Vec<RequestRule>,
    /// Split for connections for as long as that keeps the weights for requests, too
    /// (`steer.dev/split: auto`).
    pub auto: bool,
}

impl Route {
    /// Whether requests are copied on their way.
    pub fn is_copied(&self) -> bool {
        self.depth != Depth::Request && self.requests.iter().any(|rule| !rule.mirrors.is_empty())
    }
}

/// A rule that looks at requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestRule {
    /// What made it.
    pub rule: Rule,
    /// As written; of its matches only those whose static part holds, and if there is none, it takes
    /// everything.
    pub written: Arc<HttpRoute>,
    /// Where to, in the rule's order, weights as written; none if it answers by itself.
    pub destinations: Vec<Destination>,
    /// Where copies of requests go.
    pub mirrors: Vec<Mirror>,
}

/// Where copies of requests go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirror {
    /// There.
    pub to: Destination,
    /// How many of a million requests are copied.
    pub millionths: u32,
    /// The host that copies name.
    pub host: MirrorHost,
}

/// What made a route.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Rule {
    /// No VirtualService: the service itself.
    Service,
    /// A rule of a VirtualService.
    VirtualService {
        /// The VirtualService.
        object: ObjectRef,
        /// The field, e.g. `spec.http[0]`.
        field: String,
        /// The rule's `name`.
        name: Option<String>,
        /// Where it stands.
        position: Option<Position>,
    },
    /// Another object.
    Object {
        /// The object.
        object: ObjectRef,
        /// The field; empty for all of it.
        field: String,
        /// Where it stands.
        position: Option<Position>,
    },
    /// What the agent was told, or how it is without anybody saying so.
    Setting {
        /// Which.
        name: String,
    },
}

/// One destination of a route.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Destination {
    /// The host, fully qualified.
    pub host: String,
    /// The service port.
    pub port: u16,
    /// Whether its servers are to be spoken to with HTTP/2, where that is not the client's choice.
    pub http2: bool,
    /// The subset.
    pub subset: Option<String>,
    /// Its weight as written; 0 is never drawn.
    pub weight: u32,
    /// The DestinationRules that apply, merged, oldest first.
    pub destination_rules: Vec<ObjectRef>,
    /// Its usable endpoints, sorted by address and port; none refuses.
    pub endpoints: Arc<[Endpoint]>,
}

/// Where a connection may land.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// The pod behind it.
    pub pod: Option<PodRef>,
}
