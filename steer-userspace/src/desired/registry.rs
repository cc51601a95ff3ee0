//! The registry: services with their addresses, ports and endpoints.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use steer_common::Proto;

use super::{
    change::{Difference, same},
    endpoints::{Candidate, Maker, usable},
    export::Visibility,
    host,
    model::Endpoint,
    pods::{self, Pods},
    protocol::Protocol,
};
use crate::{
    finding::ObjectRef,
    source::{
        Meta, Object, Snapshot,
        core::{EndpointSlice, Pod, SERVICE_NAME_LABEL, Service, ServicePort},
        istio::{ServiceEntry, WorkloadEntry},
    },
};

pub mod entries;
mod slices;

use entries::{Entry, Resolved};

/// How long `sessionAffinity: ClientIP` holds where it is not said.
const AFFINITY_SECS: u32 = 10_800;

/// What wrote a service of the registry.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A Service of Kubernetes.
    Service(Arc<Object<Service>>),
    /// A ServiceEntry.
    Entry(Arc<Object<ServiceEntry>>),
}

impl Origin {
    /// Its metadata.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Service(object) => &object.meta,
            Self::Entry(object) => &object.meta,
        }
    }

    /// How findings name it.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Service(object) => object.reference(),
            Self::Entry(object) => object.reference(),
        }
    }

    /// The Service, if it is one.
    pub fn service(&self) -> Option<&Arc<Object<Service>>> {
        match self {
            Self::Service(object) => Some(object),
            Self::Entry(_) => None,
        }
    }

    /// The ServiceEntry, if it is one.
    pub fn entry(&self) -> Option<&Arc<Object<ServiceEntry>>> {
        match self {
            Self::Service(_) => None,
            Self::Entry(object) => Some(object),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service(a), Self::Service(b)) => Arc::ptr_eq(a, b),
            (Self::Entry(a), Self::Entry(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// One service.
#[derive(Clone, Debug)]
pub struct Host {
    /// What wrote it.
    pub origin: Origin,
    /// Its fully qualified name.
    pub name: String,
    /// Its addresses; of a Service, at most one a family.
    pub addresses: Vec<IpAddr>,
    /// Addresses that an earlier service has, and which.
    pub lost: Vec<(IpAddr, String)>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Its ports that can be steered.
    pub ports: Vec<HostPort>,
}

/// One port of a service.
#[derive(Clone, PartialEq, Debug)]
pub struct HostPort {
    /// As written.
    pub port: ServicePort,
    /// The transport.
    pub proto: Proto,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Seconds of affinity.
    pub affinity_secs: Option<u32>,
    /// All endpoints, sorted by place.
    pub candidates: Vec<Candidate>,
    /// Those that may be used.
    pub usable: Arc<[Endpoint]>,
}

impl Host {
    /// The port of a number and a transport.
    pub fn port(&self, number: u16, proto: Proto) -> Option<&HostPort> {
        let mut ports = self.ports.iter();
        ports.find(|found| found.port.port == number && found.proto == proto)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.origin.meta().namespace
    }

    /// The names by which clients of any namespace may dial it, the full one first.
    pub fn names(&self) -> Vec<String> {
        let Some(object) = self.origin.service() else {
            return vec![self.name.clone()];
        };
        let meta = &object.meta;
        let short = format!("{}.{}", meta.name, meta.namespace);
        let with_svc = format!("{short}.svc");
        vec![self.name.clone(), with_svc, short, meta.name.clone()]
    }

    /// Whether it stands for a name elsewhere.
    pub fn is_external_name(&self) -> bool {
        let kind = self.origin.service().map(|object| &object.spec.kind);
        kind.is_some_and(|kind| kind.as_deref() == Some("ExternalName"))
    }

    /// Whether a route to it leads elsewhere than one to `other` would.
    fn says_the_same(&self, other: &Self) -> bool {
        self.origin.is(&other.origin)
            && self.addresses == other.addresses
            && self.lost == other.lost
            && self.ports == other.ports
    }
}

/// All services, by fully qualified name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// By fully qualified name.
    pub hosts: BTreeMap<String, Arc<Host>>,
    /// Every host of every ServiceEntry, the oldest first.
    pub entries: Vec<Arc<Entry>>,
    /// The slices that each was made from.
    slices: BTreeMap<String, Vec<Arc<Object<EndpointSlice>>>>,
    written: Written,
    /// Names back to front, sorted: those with one suffix stand together.
    reversed: OnceCell<Vec<String>>,
}

/// What the registry was made from.
#[derive(Clone, Debug, Default)]
struct Written {
    services: Vec<Arc<Object<Service>>>,
    slices: Vec<Arc<Object<EndpointSlice>>>,
    pods: Vec<Arc<Object<Pod>>>,
    entries: Vec<Arc<Object<ServiceEntry>>>,
    workloads: Vec<Arc<Object<WorkloadEntry>>>,
    resolved: Arc<Resolved>,
}

impl Registry {
    /// Reads the services of a snapshot; those that are made from the same objects are kept.
    /// Returns the names that changed.
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        resolved: &Arc<Resolved>,
        domain: &str,
    ) -> BTreeSet<String> {
        let written = &self.written;
        if same(&written.pods, &snapshot.pods)
            && same(&written.services, &snapshot.services)
            && same(&written.entries, &snapshot.service_entries)
            && same(&written.workloads, &snapshot.workload_entries)
            && Arc::ptr_eq(&written.resolved, resolved)
        {
            return self.update_slices(snapshot, domain);
        }
        let owners = owners(snapshot);
        let slices = slices_by_service(snapshot);
        let touched = Touched::new(&self.written.pods, &snapshot.pods);
        let pods = Pods::new(&snapshot.pods);
        let mut changed = BTreeSet::new();
        let mut fresh = Self::default();
        for object in &snapshot.services {
            let key = (object.meta.namespace.as_str(), object.meta.name.as_str());
            let name = host::full_name(key.1, key.0, domain);
            let slices = slices.get(&key).map_or(&[][..], Vec::as_slice);
            let (addresses, lost) = addresses(object, &owners);
            let old = self.hosts.get(&name);
            let kept = old.filter(|old| {
                old.origin
                    .service()
                    .is_some_and(|old| Arc::ptr_eq(old, object))
                    && old.addresses == addresses
                    && old.lost == lost
                    && self.slices.get(&name).is_some_and(|old| same(old, slices))
                    && !touched.concerns(old, slices.is_empty())
            });
            let host = if let Some(kept) = kept {
                Arc::clone(kept)
            } else {
                let made = make(object, name.clone(), addresses, lost, slices, &pods);
                // Kept if it says the same, so that what was made from it is kept too.
                let same = old.filter(|old| old.says_the_same(&made)).map(Arc::clone);
                same.unwrap_or_else(|| {
                    changed.insert(name.clone());
                    Arc::new(made)
                })
            };
            fresh.slices.insert(name.clone(), slices.to_vec());
            fresh.hosts.insert(name, host);
        }
        let maker = entries::Maker {
            workloads: &snapshot.workload_entries,
            pods: &pods,
            resolved,
            domain,
        };
        fresh.add_entries(&snapshot.service_entries, &maker, self, &mut changed);
        let gone = self
            .hosts
            .keys()
            .filter(|name| !fresh.hosts.contains_key(*name));
        changed.extend(gone.cloned());
        fresh.written = Written {
            services: snapshot.services.clone(),
            slices: snapshot.endpoint_slices.clone(),
            pods: snapshot.pods.clone(),
            entries: snapshot.service_entries.clone(),
            workloads: snapshot.workload_entries.clone(),
            resolved: Arc::clone(resolved),
        };
        *self = fresh;
        changed
    }

    /// The service of that full name.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// The services that fit `pattern`, by name.
    pub fn fitting(&self, pattern: &str) -> Vec<&Arc<Host>> {
        let Some(suffix) = host::wildcard_suffix(pattern) else {
            return self.hosts.get(pattern).into_iter().collect();
        };
        let back_to_front = |name: &str| name.chars().rev().collect::<String>();
        let sorted = self.reversed.get_or_init(|| {
            let mut names: Vec<String> =
                self.hosts.keys().map(|name| back_to_front(name)).collect();
            names.sort_unstable();
            names
        });
        let wanted = back_to_front(suffix);
        let start = sorted.partition_point(|name| *name < wanted);
        let names = sorted[start..]
            .iter()
            .take_while(|name| name.starts_with(&wanted));
        names
            .filter_map(|name| self.hosts.get(&back_to_front(name)))
            .collect()
    }
}

/// Pods that changed, by what services know them by.
struct Touched<'s> {
    names: BTreeSet<(&'s str, &'s str)>,
    addresses: BTreeSet<IpAddr>,
    pods: Vec<&'s Arc<Object<Pod>>>,
}

impl<'s> Touched<'s> {
    fn new(old: &'s [Arc<Object<Pod>>], new: &'s [Arc<Object<Pod>>]) -> Self {
        let pods: Vec<_> = Difference::new(old, new, pods::key).all().collect();
        Self {
            names: pods.iter().map(|pod| pods::key(pod)).collect(),
            addresses: pods.iter().flat_map(|pod| pod.spec.addresses()).collect(),
            pods,
        }
    }

    /// Whether the endpoints of a service may have changed with them.
    fn concerns(&self, host: &Host, from_pods: bool) -> bool {
        if self.pods.is_empty() {
            return false;
        }
        if from_pods {
            let Some(object) = host.origin.service() else {
                return false;
            };
            return self.pods.iter().any(|pod| {
                pod.meta.namespace == object.meta.namespace
                    && super::client::contains(&pod.meta.labels, &object.spec.selector)
            });
        }
        host.ports
            .iter()
            .flat_map(|port| &port.candidates)
            .any(|candidate| {
                let named = candidate.endpoint.pod.as_ref().is_some_and(|pod| {
                    self.names
                        .contains(&(pod.namespace.as_str(), pod.name.as_str()))
                });
                named || self.addresses.contains(&candidate.endpoint.ip)
            })
    }
}

/// The first service that has each address. Services are in order of namespace and name.
fn owners(snapshot: &Snapshot) -> HashMap<IpAddr, &Arc<Object<Service>>> {
    let mut owners = HashMap::new();
    for object in &snapshot.services {
        for address in written_addresses(&object.spec).filter_map(|text| text.parse().ok()) {
            owners.entry(address).or_insert(object);
        }
    }
    owners
}

/// What is written as cluster addresses, `None` left out. An `ExternalName` service has none.
pub(super) fn written_addresses(spec: &Service) -> impl Iterator<Item = &String> {
    let first = spec
        .cluster_ip
        .iter()
        .filter(|_| spec.cluster_ips.is_empty());
    let external = spec.kind.as_deref() == Some("ExternalName");
    let all = spec.cluster_ips.iter().chain(first);
    all.filter(move |text| !external && !text.is_empty() && *text != "None")
}

type Addresses = (Vec<IpAddr>, Vec<(IpAddr, String)>);

/// The addresses of a service, and those that another has already.
fn addresses(
    object: &Arc<Object<Service>>,
    owners: &HashMap<IpAddr, &Arc<Object<Service>>>,
) -> Addresses {
    let (mut addresses, mut lost) = (Vec::<IpAddr>::new(), Vec::new());
    for address in written_addresses(&object.spec).filter_map(|text| text.parse().ok()) {
        let owner = owners
            .get(&address)
            .filter(|owner| !Arc::ptr_eq(owner, object));
        if let Some(owner) = owner {
            lost.push((address, owner.reference().to_string()));
        } else if !addresses
            .iter()
            .any(|other| other.is_ipv4() == address.is_ipv4())
        {
            addresses.push(address);
        }
    }
    (addresses, lost)
}

type Slices<'s> = BTreeMap<(&'s str, &'s str), Vec<Arc<Object<EndpointSlice>>>>;

fn slices_by_service(snapshot: &Snapshot) -> Slices<'_> {
    let mut slices = Slices::new();
    for slice in &snapshot.endpoint_slices {
        if let Some(service) = slice.meta.labels.get(SERVICE_NAME_LABEL) {
            let key = (slice.meta.namespace.as_str(), service.as_str());
            slices.entry(key).or_default().push(Arc::clone(slice));
        }
    }
    slices
}

fn make(
    object: &Arc<Object<Service>>,
    name: String,
    addresses: Vec<IpAddr>,
    lost: Vec<(IpAddr, String)>,
    slices: &[Arc<Object<EndpointSlice>>],
    pods: &Pods<'_>,
) -> Host {
    let maker = Maker {
        service: object,
        addresses: &addresses,
        slices,
        pods,
    };
    let mut ports: Vec<HostPort> = Vec::with_capacity(object.spec.ports.len());
    for port in object.spec.ports.iter().filter(|port| port.port != 0) {
        let Some(proto) = transport(port) else {
            continue;
        };
        let twice = |other: &HostPort| other.port.port == port.port && other.proto == proto;
        if ports.iter().any(twice) {
            continue;
        }
        let candidates = maker.of_port(port);
        ports.push(HostPort {
            proto,
            protocol: Protocol::detect(proto, port.port, &port.name, port.app_protocol.as_deref()),
            affinity_secs: affinity(&object.spec),
            usable: usable(candidates.iter()),
            candidates,
            port: port.clone(),
        });
    }
    Host {
        origin: Origin::Service(Arc::clone(object)),
        name,
        visibility: Visibility::of_service(object),
        ports,
        addresses,
        lost,
    }
}

/// The transport of a port; `None` for SCTP and the like.
pub(super) fn transport(port: &ServicePort) -> Option<Proto> {
    match port.protocol.as_deref() {
        None | Some("TCP") => Some(Proto::Tcp),
        Some("UDP") => Some(Proto::Udp),
        Some(_) => None,
    }
}

fn affinity(spec: &Service) -> Option<u32> {
    (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref();
        let config = config.and_then(|config| config.client_ip.as_ref());
        config
            .and_then(|config| config.timeout_seconds)
            .unwrap_or(AFFINITY_SECS)
    })
}

#[cfg(test)]
mod tests;
