//! Who has which address, and which name stands for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use steer_common::service::SplitId;

use super::workload::{UNKNOWN, Workload};
use crate::{
    desired::{
        Desired,
        model::{PodRef, Route, Service as Registered, View},
    },
    image::key,
    plan::Layout,
    source::Snapshot,
};

/// As Envoy names the cluster of what no rule leads anywhere.
const PASSTHROUGH: &str = "PassthroughCluster";
/// As it names the cluster of what is refused.
const BLACK_HOLE: &str = "BlackHoleCluster";

/// The name by which somebody was asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Service {
    /// Fully qualified.
    pub host: String,
    /// Its short name; the host, if that is none of Kubernetes.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl Service {
    pub(super) fn of(found: &Registered) -> Self {
        let own = found
            .host
            .strip_prefix(&*found.name)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| rest.starts_with(&*found.namespace));
        let name = if own { &found.name } else { &found.host };
        Self {
            host: found.host.clone(),
            name: name.clone(),
            namespace: found.namespace.clone(),
        }
    }

    /// A cluster of Envoy's that is no service.
    fn cluster(name: &str) -> Self {
        Self {
            host: UNKNOWN.to_owned(),
            name: name.to_owned(),
            namespace: UNKNOWN.to_owned(),
        }
    }
}

/// What is known of a node's world.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The pods of this node, by the cookies of their namespaces.
    local: BTreeMap<u64, Arc<Workload>>,
    /// The addresses of those.
    own: BTreeSet<IpAddr>,
    pods: BTreeMap<PodRef, Arc<Workload>>,
    workloads: BTreeSet<Arc<Workload>>,
    addresses: BTreeMap<IpAddr, Arc<Workload>>,
    /// The services of a route's destinations, in their order.
    splits: BTreeMap<SplitId, Vec<Arc<Service>>>,
    /// By endpoint. Of several services that have one, the first.
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    /// By what clients dial.
    dialled: BTreeMap<SocketAddr, Arc<Service>>,
    hosts: BTreeMap<String, Arc<Service>>,
    unknown: Arc<Workload>,
    nothing: Arc<Service>,
    passthrough: Arc<Service>,
    black_hole: Arc<Service>,
}

/// An endpoint of a service.
#[derive(Clone, Debug)]
struct Endpoint {
    service: Arc<Service>,
    /// Whether clients dial it, since the service has no address.
    is_dialled: bool,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            local: BTreeMap::new(),
            own: BTreeSet::new(),
            pods: BTreeMap::new(),
            workloads: BTreeSet::new(),
            addresses: BTreeMap::new(),
            splits: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            dialled: BTreeMap::new(),
            hosts: BTreeMap::new(),
            unknown: Arc::new(Workload::unknown()),
            nothing: Arc::new(Service::cluster(UNKNOWN)),
            passthrough: Arc::new(Service::cluster(PASSTHROUGH)),
            black_hole: Arc::new(Service::cluster(BLACK_HOLE)),
        }
    }
}

impl Directory {
    /// What is in force. `local` are the pods of this node, by the cookies of their namespaces.
    pub fn new(
        snapshot: &Snapshot,
        desired: &Desired,
        layout: &Layout,
        local: &BTreeMap<u64, PodRef>,
        cluster: &str,
    ) -> Self {
        let mut this = Self::default();
        this.add_pods(snapshot, cluster);
        for (&cookie, pod) in local {
            if let Some(workload) = this.pods.get(pod) {
                this.local.insert(cookie, Arc::clone(workload));
            }
            let own = snapshot.pod(pod).into_iter();
            this.own.extend(own.flat_map(|pod| pod.spec.addresses()));
        }
        // Routes lead to services that stand anywhere in the list.
        for found in &desired.services {
            let service = Arc::new(Service::of(found));
            this.hosts.insert(found.host.clone(), service);
        }
        for found in &desired.services {
            this.add_service(found, layout);
        }
        this
    }

    fn add_pods(&mut self, snapshot: &Snapshot, cluster: &str) {
        for pod in &snapshot.pods {
            let workload = Workload::of_pod(&pod.meta, cluster);
            let known = self.workloads.get(&workload).cloned();
            let shared = known.unwrap_or_else(|| Arc::new(workload));
            self.workloads.insert(Arc::clone(&shared));
            let name = PodRef {
                namespace: pod.meta.namespace.clone(),
                name: pod.meta.name.clone(),
            };
            self.pods.insert(name, Arc::clone(&shared));
            if pod.spec.host_network {
                continue;
            }
            for address in pod.spec.addresses() {
                let entry = self.addresses.entry(address);
                entry.or_insert_with(|| Arc::clone(&shared));
            }
        }
    }

    fn add_service(&mut self, found: &Registered, layout: &Layout) {
        let Some(service) = self.hosts.get(&found.host).cloned() else {
            return;
        };
        self.add_endpoints(found, &service);
        for port in &found.ports {
            for &address in &found.addresses {
                let dialled = SocketAddr::new(address, port.number);
                let entry = self.dialled.entry(dialled);
                entry.or_insert_with(|| Arc::clone(&service));
            }
            for (&class, view) in &port.views {
                let View::Route(route) = view else { continue };
                let names: Vec<_> = self.destinations(route).collect();
                for &address in &found.addresses {
                    if let Some(placed) = layout.placed().get(&key(class, address, port)) {
                        self.splits.insert(placed.split, names.clone());
                    }
                }
            }
        }
    }

    fn destinations(&self, route: &Route) -> impl Iterator<Item = Arc<Service>> {
        let hosts = route.destinations.iter().map(|to| &to.host);
        hosts.map(|host| self.hosts.get(host).unwrap_or(&self.nothing).clone())
    }

    /// The endpoints of a service: where its routes lead, and its subsets, whether or not one leads there.
    fn add_endpoints(&mut self, found: &Registered, service: &Arc<Service>) {
        let views = found.ports.iter().flat_map(|port| port.views.values());
        let routes = views.filter_map(|view| match view {
            View::Route(route) => Some(route),
            View::Hidden => None,
        });
        let led = routes.flat_map(|route| {
            let looked_at = route.requests.iter();
            let looked_at = looked_at.flat_map(|rule| {
                let mirrors = rule.mirrors.iter().map(|mirror| &mirror.to);
                rule.destinations.iter().chain(mirrors)
            });
            route.destinations.iter().chain(looked_at)
        });
        let led = led
            .filter(|to| to.host == found.host)
            .flat_map(|to| to.endpoints.iter());
        let parts = found.clusters.iter().flat_map(|part| &part.endpoints);
        for endpoint in led.chain(parts) {
            let address = SocketAddr::new(endpoint.ip, endpoint.port);
            let entry = self.endpoints.entry(address);
            entry.or_insert_with(|| Endpoint {
                service: Arc::clone(service),
                is_dialled: found.addresses.is_empty(),
            });
            // Of pods of other nodes nobody else knows the address.
            let pod = endpoint.pod.as_ref().and_then(|pod| self.pods.get(pod));
            if let Some(workload) = pod {
                let entry = self.addresses.entry(endpoint.ip);
                entry.or_insert_with(|| Arc::clone(workload));
            }
        }
    }

    /// A pod of this node.
    pub(super) fn local(&self, cookie: u64) -> Option<&Arc<Workload>> {
        self.local.get(&cookie)
    }

    /// A pod by name.
    pub(super) fn pod(&self, name: &PodRef) -> &Arc<Workload> {
        self.pods.get(name).unwrap_or(&self.unknown)
    }

    /// Who has an address.
    pub(super) fn at(&self, address: IpAddr) -> &Arc<Workload> {
        self.addresses.get(&address).unwrap_or(&self.unknown)
    }

    /// Whether a pod of this node has it.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }

    /// Whether there are still pods of a workload.
    pub(super) fn has(&self, workload: &Workload) -> bool {
        !workload.is_known() || self.workloads.contains(workload)
    }

    /// The service of a route's destination.
    pub(super) fn destination(&self, split: SplitId, index: u32) -> &Arc<Service> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let found = self.splits.get(&split).and_then(|all| all.get(index));
        found.unwrap_or(&self.nothing)
    }

    /// The service of a cluster, as Envoy's are named.
    pub(super) fn cluster(&self, name: &str) -> &Arc<Service> {
        let host = name.rsplit('|').next().unwrap_or_default();
        self.hosts.get(host).unwrap_or(&self.nothing)
    }

    /// The service that was dialled.
    pub(super) fn dialled(&self, address: SocketAddr) -> &Arc<Service> {
        self.dialled.get(&address).unwrap_or(&self.nothing)
    }

    /// The service that an endpoint serves.
    pub(super) fn served_at(&self, address: SocketAddr) -> &Arc<Service> {
        let found = self.endpoints.get(&address).map(|found| &found.service);
        found.unwrap_or(&self.nothing)
    }

    /// By which name something was asked that no rule led anywhere: a service without an address, a
    /// host of the registry that clients look up, or nobody knows.
    pub(super) fn passed_through(&self, to: SocketAddr, name: Option<&str>) -> &Arc<Service> {
        let endpoint = self.endpoints.get(&to).filter(|found| found.is_dialled);
        let known = endpoint.map(|found| &found.service);
        let known = known.or_else(|| self.host(name?));
        known.unwrap_or(&self.passthrough)
    }

    /// What is refused.
    pub(super) fn black_hole(&self) -> &Arc<Service> {
        &self.black_hole
    }

    /// Nobody.
    pub(super) fn unknown(&self) -> &Arc<Workload> {
        &self.unknown
    }

    /// No name.
    pub(super) fn nothing(&self) -> &Arc<Service> {
        &self.nothing
    }

    /// The host of the registry that a name is of; the longest wildcard, if none has it.
    fn host(&self, name: &str) -> Option<&Arc<Service>> {
        let exact = self.hosts.get(name);
        exact.or_else(|| {
            let mut ends = name.match_indices('.').map(|(at, _)| &name[at..]);
            ends.find_map(|end| self.hosts.get(&format!("*{end}")))
        })
    }
}
