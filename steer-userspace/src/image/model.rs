//! The image: the content of the maps, row by row, before rows are numbered.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use steer_common::service::{ClassId, Depth, ServiceKey};

use crate::{
    desired::{
        egress::model::ANYONE,
        model::{Endpoint, PodRef, Rule, cluster_name},
    },
    finding::ObjectRef,
};

/// What the maps will hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    /// SERVICES and ROUTES.
    pub routes: BTreeMap<ServiceKey, Arc<Route>>,
    /// SOURCES, by network-namespace cookie.
    pub sources: BTreeMap<u64, Source>,
    /// The maps of the egress guard.
    pub egress: super::Egress,
}

/// One row of ROUTES.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Whose port it is.
    pub service: Arc<ServiceName>,
    /// What made it.
    pub rule: Arc<Rule>,
    /// Not exported to the clients of this key.
    pub hidden: bool,
    /// Some class has a row of its own.
    pub varies: bool,
    /// How deep one must look to enforce the rule in full.
    pub depth: Depth,
    /// Only its weights ever need requests to be looked at.
    pub auto: bool,
    /// Seconds of `sessionAffinity`; 0 for none.
    pub affinity_secs: u32,
    /// Where to.
    pub destinations: Vec<Destination>,
}

/// One destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// What it is called, and its weight as written.
    pub name: Arc<DestinationName>,
    /// Its endpoints, of the family of the key.
    pub endpoints: Arc<[Endpoint]>,
}

/// A service port, as listings name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its fully qualified host name.
    pub host: String,
    /// The port's name.
    pub port_name: String,
    /// What is spoken on it.
    pub protocol: String,
}

/// A destination, as listings name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DestinationName {
    /// The host, fully qualified.
    pub host: String,
    /// The service port.
    pub port: u16,
    /// The subset.
    pub subset: Option<String>,
    /// Its weight as written.
    pub weight: u32,
    /// The DestinationRules that apply.
    pub destination_rules: Vec<ObjectRef>,
}

impl DestinationName {
    /// As Envoy's clusters are named: `outbound|80|version-v1|catalog.shop.svc.cluster.local`.
    pub fn cluster(&self) -> String {
        cluster_name(&self.host, self.port, self.subset.as_deref())
    }
}

/// One row of SOURCES.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Its class.
    pub class: ClassId,
    /// Its egress policy; `*` is that of clients nobody knows.
    pub policy: String,
    /// The pod.
    pub pod: PodRef,
    /// Its interface, by its index in the pod's namespace; 0 if that is not known.
    pub interface: u32,
    /// Its addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
}

impl Source {
    /// A pod with the policy of clients nobody knows.
    pub fn new(class: ClassId, pod: PodRef) -> Self {
        Self {
            class,
            policy: ANYONE.to_owned(),
            pod,
            interface: 0,
            addresses: Vec::new(),
        }
    }
}
