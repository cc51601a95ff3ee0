//! The registry: services with their ports, addresses and endpoints.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use steer_common::Proto;

use super::{
    client::{NO_LABELS, selects},
    export,
    model::{Endpoint, PodRef},
};
use crate::source::{
    Object, Snapshot,
    core::{
        EndpointSlice, Pod, SERVICE_NAME_LABEL, Service, ServicePort, SliceEndpoint, TargetPort,
    },
};

/// What is spoken on a port, as far as it decides which rules apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// HTTP, in whatever version.
    Http,
    /// TLS that the application starts.
    Tls,
    /// Something else over TCP.
    Tcp,
    /// Datagrams.
    Udp,
    /// Not said: Istio looks at the first bytes.
    Unknown,
}

/// One port of a service.
#[derive(Clone, Debug)]
pub struct HostPort {
    /// As it was written.
    pub port: ServicePort,
    /// The transport; `None` for SCTP and the like.
    pub proto: Option<Proto>,
    /// What is spoken.
    pub speaks: Speaks,
    /// How listings name that.
    pub protocol: String,
    /// The endpoints that may be used, with the labels that subsets select by.
    pub backends: Vec<Backend>,
}

/// An endpoint with its labels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Backend {
    /// Where.
    pub endpoint: Endpoint,
    /// The labels of its pod.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Host {
    /// The service as it was written.
    pub object: Arc<Object<Service>>,
    /// Its fully qualified name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Who may see it.
    pub export_to: Vec<String>,
    /// Its ports.
    pub ports: Vec<HostPort>,
}

impl Host {
    /// The port of a number; of several (TCP and UDP 53) the first.
    pub fn port(&self, number: u16, proto: Option<Proto>) -> Option<&HostPort> {
        self.ports
            .iter()
            .find(|found| found.port.port == number && (proto.is_none() || found.proto == proto))
    }

    /// The endpoints of a port that have all of `labels`, sorted.
    pub fn endpoints(
        &self,
        number: u16,
        proto: Proto,
        labels: &BTreeMap<String, String>,
    ) -> Arc<[Endpoint]> {
        let backends = self
            .port(number, Some(proto))
            .map_or(&[][..], |port| &port.backends);
        backends
            .iter()
            .filter(|backend| selects(labels, &backend.labels))
            .map(|backend| backend.endpoint.clone())
            .collect()
    }
}

/// What a service is made from: if these are the same objects, so is the service.
#[derive(Clone, Debug, Default)]
struct Ingredients {
    slices: Vec<Arc<Object<EndpointSlice>>>,
}

/// All services, by fully qualified name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// By fully qualified name.
    pub hosts: BTreeMap<String, Arc<Host>>,
    ingredients: BTreeMap<String, Ingredients>,
    services: Vec<Arc<Object<Service>>>,
    slices: Vec<Arc<Object<EndpointSlice>>>,
    pods: Vec<Arc<Object<Pod>>>,
}

impl Registry {
    /// Reads the services of a snapshot; those of `self` that are made from the same objects are
    /// kept. Returns the names that changed.
    pub fn update(&mut self, snapshot: &Snapshot, domain: &str) -> Vec<String> {
        let same_pods = same(&self.pods, &snapshot.pods);
        if same_pods
            && same(&self.services, &snapshot.services)
            && same(&self.slices, &snapshot.endpoint_slices)
        {
            return Vec::new();
        }
        let pods = if same_pods {
            Pods::default()
        } else {
            Pods::of(snapshot)
        };
        let slices = slices_by_service(snapshot);
        let mut lazy_pods = (!same_pods).then_some(pods);
        let mut fresh = Self {
            services: snapshot.services.clone(),
            slices: snapshot.endpoint_slices.clone(),
            pods: snapshot.pods.clone(),
            ..Self::default()
        };
        let mut changed = Vec::new();
        for object in &snapshot.services {
            let key = (object.meta.namespace.as_str(), object.meta.name.as_str());
            let name = format!("{}.{}.svc.{domain}", key.1, key.0);
            let slices = slices.get(&key).cloned().unwrap_or_default();
            let kept = self.hosts.get(&name).filter(|old| {
                let made = self.ingredients.get(&name);
                same_pods
                    && Arc::ptr_eq(&old.object, object)
                    && made.is_some_and(|made| same(&made.slices, &slices))
            });
            let host = if let Some(host) = kept {
                Arc::clone(host)
            } else {
                let pods = lazy_pods.get_or_insert_with(|| Pods::of(snapshot));
                let host = Arc::new(host(object, name.clone(), &slices, pods));
                if self
                    .hosts
                    .get(&name)
                    .is_none_or(|old| !old.says_the_same(&host))
                {
                    changed.push(name.clone());
                    host
                } else {
                    // Kept, so that what was made from it is kept too.
                    self.hosts.get(&name).map_or(host, Arc::clone)
                }
            };
            fresh
                .ingredients
                .insert(name.clone(), Ingredients { slices });
            fresh.hosts.insert(name, host);
        }
        changed.extend(
            self.hosts
                .keys()
                .filter(|name| !fresh.hosts.contains_key(*name))
                .cloned(),
        );
        *self = fresh;
        changed
    }
}

impl Host {
    fn says_the_same(&self, other: &Self) -> bool {
        let ports = |host: &Self| -> Vec<_> {
            host.ports
                .iter()
                .map(|port| (port.port.clone(), port.backends.clone()))
                .collect()
        };
        Arc::ptr_eq(&self.object, &other.object) && ports(self) == ports(other)
    }
}

/// Whether both hold the very same objects.
pub(super) fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

type Slices<'a> = BTreeMap<(&'a str, &'a str), Vec<Arc<Object<EndpointSlice>>>>;

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

/// Pods by name, by address and by namespace.
#[derive(Default)]
struct Pods {
    by_name: BTreeMap<(String, String), Arc<Object<Pod>>>,
    by_address: BTreeMap<IpAddr, Arc<Object<Pod>>>,
}

impl Pods {
    fn of(snapshot: &Snapshot) -> Self {
        let mut pods = Self::default();
        for pod in &snapshot.pods {
            let key = (pod.meta.namespace.clone(), pod.meta.name.clone());
            pods.by_name.insert(key, Arc::clone(pod));
            for address in pod.spec.addresses().filter(|_| !pod.spec.host_network) {
                pods.by_address
                    .entry(address)
                    .or_insert_with(|| Arc::clone(pod));
            }
        }
        pods
    }
}

fn host(
    object: &Arc<Object<Service>>,
    name: String,
    slices: &[Arc<Object<EndpointSlice>>],
    pods: &Pods,
) -> Host {
    let spec = &object.spec;
    let ports = spec.ports.iter().map(|port| {
        let proto = match port.protocol.as_deref() {
            None | Some("TCP") => Some(Proto::Tcp),
            Some("UDP") => Some(Proto::Udp),
            Some(_) => None,
        };
        let (speaks, protocol) = speaks(port, proto);
        let mut backends = if slices.is_empty() && !spec.selector.is_empty() {
            from_pods(object, port, pods)
        } else {
            from_slices(port, slices, pods)
        };
        backends.sort();
        backends.dedup();
        HostPort {
            port: port.clone(),
            proto,
            speaks,
            protocol,
            backends,
        }
    });
    Host {
        name,
        addresses: addresses(spec),
        export_to: export::of_annotation(object.meta.annotations.get(export::SERVICE_ANNOTATION)),
        ports: ports.collect(),
        object: Arc::clone(object),
    }
}

/// The cluster addresses; a headless service has none.
fn addresses(spec: &Service) -> Vec<IpAddr> {
    let first = spec
        .cluster_ip
        .iter()
        .filter(|_| spec.cluster_ips.is_empty());
    let mut addresses: Vec<IpAddr> = spec
        .cluster_ips
        .iter()
        .chain(first)
        .filter_map(|text| text.parse().ok())
        .collect();
    addresses.dedup();
    addresses
}

/// By `appProtocol`, else by the port's name up to the first dash (Istio's protocol selection).
fn speaks(port: &ServicePort, proto: Option<Proto>) -> (Speaks, String) {
    if proto == Some(Proto::Udp) {
        return (Speaks::Udp, "UDP".to_owned());
    }
    let by_name = port.name.split('-').next().unwrap_or_default();
    // grpc-web has a dash of its own.
    let by_name = if port.name.starts_with("grpc-web") {
        "grpc-web"
    } else {
        by_name
    };
    let word = port
        .app_protocol
        .as_deref()
        .unwrap_or(by_name)
        .to_ascii_lowercase();
    let speaks = match word.as_str() {
        "http" | "http2" | "grpc" | "grpc-web" | "kubernetes.io/h2c" | "kubernetes.io/ws" => {
            Speaks::Http
        }
        "https" | "tls" | "kubernetes.io/wss" => Speaks::Tls,
        "tcp" | "mongo" | "redis" | "mysql" => Speaks::Tcp,
        // Servers that speak first are never waited for (Istio's well-known ports).
        _ if [25, 53, 3306, 27017].contains(&port.port) => Speaks::Tcp,
        _ => Speaks::Unknown,
    };
    let shown = match (speaks, word.as_str()) {
        (Speaks::Unknown, _) => "auto",
        (Speaks::Tcp, "tcp") => "TCP",
        (_, "kubernetes.io/h2c") => "HTTP2",
        (_, "kubernetes.io/ws") => "HTTP",
        (_, "kubernetes.io/wss") => "HTTPS",
        (Speaks::Tcp, word) if !["mongo", "redis", "mysql"].contains(&word) => "TCP",
        (_, word) => return (speaks, word.to_ascii_uppercase()),
    };
    (speaks, shown.to_owned())
}

/// The endpoints that slices list for a port: the ready ones; while there are none, those that
/// still serve although they terminate (KEP-1669).
fn from_slices(
    port: &ServicePort,
    slices: &[Arc<Object<EndpointSlice>>],
    pods: &Pods,
) -> Vec<Backend> {
    let mut ready = Vec::new();
    let mut serving = Vec::new();
    for slice in slices {
        for number in numbers(port, &slice.spec) {
            for endpoint in &slice.spec.endpoints {
                let conditions = endpoint.conditions;
                let wanted = if conditions.ready.unwrap_or(true) {
                    &mut ready
                } else if conditions.serving.unwrap_or(true) && conditions.terminating == Some(true)
                {
                    &mut serving
                } else {
                    continue;
                };
                wanted.extend(backend(endpoint, number, &slice.meta.namespace, pods));
            }
        }
    }
    if ready.is_empty() { serving } else { ready }
}

/// The numbers that a slice gives a service port: they are matched by name.
fn numbers<'a>(port: &'a ServicePort, slice: &'a EndpointSlice) -> impl Iterator<Item = u16> + 'a {
    let protocol = |text: &Option<String>| text.clone().unwrap_or_else(|| "TCP".to_owned());
    let wanted = protocol(&port.protocol);
    slice
        .ports
        .iter()
        .filter(move |found| {
            found.name.as_deref().unwrap_or_default() == port.name
                && protocol(&found.protocol) == wanted
        })
        .filter_map(|found| found.port)
}

fn backend(endpoint: &SliceEndpoint, port: u16, namespace: &str, pods: &Pods) -> Option<Backend> {
    let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    let named = endpoint
        .target_ref
        .as_ref()
        .filter(|target| target.kind == "Pod")
        .map(|target| PodRef {
            namespace: target
                .namespace
                .clone()
                .unwrap_or_else(|| namespace.to_owned()),
            name: target.name.clone(),
        });
    let object = match &named {
        Some(pod) => pods.by_name.get(&(pod.namespace.clone(), pod.name.clone())),
        None => pods.by_address.get(&ip),
    };
    let pod = named.or_else(|| object.map(|pod| reference(pod)));
    Some(Backend {
        endpoint: Endpoint { ip, port, pod },
        labels: labels(object),
    })
}

fn labels(pod: Option<&Arc<Object<Pod>>>) -> Arc<BTreeMap<String, String>> {
    Arc::new(pod.map_or_else(|| NO_LABELS.clone(), |pod| pod.meta.labels.clone()))
}

fn reference(pod: &Object<Pod>) -> PodRef {
    PodRef {
        namespace: pod.meta.namespace.clone(),
        name: pod.meta.name.clone(),
    }
}

/// Without any slice: the ready pods that the selector selects. Files need not list slices.
fn from_pods(service: &Object<Service>, port: &ServicePort, pods: &Pods) -> Vec<Backend> {
    let namespace = service.meta.namespace.clone();
    let of_namespace = (namespace.clone(), String::new())..;
    pods.by_name
        .range(of_namespace)
        .take_while(|((own, _), _)| *own == namespace)
        .map(|(_, pod)| pod)
        .filter(|pod| selects(&service.spec.selector, &pod.meta.labels))
        .filter(|pod| pod.spec.is_ready() || service.spec.publish_not_ready_addresses)
        .flat_map(|pod| {
            let number = target(port, &pod.spec);
            let make = move |ip| {
                let endpoint = Endpoint {
                    ip,
                    port: number?,
                    pod: Some(reference(pod)),
                };
                Some(Backend {
                    endpoint,
                    labels: labels(Some(pod)),
                })
            };
            pod.spec.addresses().filter_map(make).collect::<Vec<_>>()
        })
        .collect()
}

/// The number of `targetPort` in a pod.
fn target(port: &ServicePort, pod: &Pod) -> Option<u16> {
    match &port.target_port {
        None => Some(port.port),
        Some(TargetPort::Number(number)) => Some(*number),
        Some(TargetPort::Name(name)) => {
            let ports = pod.containers.iter().flat_map(|container| &container.ports);
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            ports
                .filter(|found| found.protocol.as_deref().unwrap_or("TCP") == protocol)
                .find(|found| found.name.as_deref() == Some(name))
                .map(|found| found.container_port)
        }
    }
}
