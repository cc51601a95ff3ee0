//! Desired -> image: one row for each service address, port and class.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use steer_common::{
    addr::{Addr, Port as Number},
    service::{CLASS_ANYONE, ClassId, Depth, ServiceKey},
};

use super::{
    canary,
    edge::{self, Edge},
    egress::{Egress, Found, Limits, Port},
    model::{Destination, DestinationName, Image, Route, ServiceName, Source},
};
use crate::desired::{
    egress::model::{ANYONE, HOST},
    model::{self as desired, Desired, Endpoint, PodRef, View},
};

/// Compiles what the node shall do. `pods` are the network namespaces that were found, by cookie.
pub fn compile(desired: &Desired, pods: &BTreeMap<u64, PodRef>) -> Image {
    let mut compiler = Compiler::default();
    compiler.compile(desired, pods);
    compiler.image
}

/// What was found on the node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The cookie of the node's own network namespace.
    pub own: Option<u64>,
    /// Pods by the cookie of their network namespace.
    pub pods: BTreeMap<u64, PodRef>,
    /// The interfaces of pods, by the same and by their index there.
    pub interfaces: BTreeMap<u64, u32>,
    /// Pods by the index of the interface before them; their policies are not looked at.
    pub ports: BTreeMap<u32, Port>,
    /// Addresses of names.
    pub found: Arc<Found>,
    /// How refusals look.
    pub limits: Limits,
    /// Whether the canary is steered too.
    pub canary: bool,
    /// Where clients outside come in.
    pub edge: Edge,
}

/// Who the node's own processes are.
fn node() -> PodRef {
    PodRef {
        namespace: String::new(),
        name: "(node)".to_owned(),
    }
}

/// Compiles one configuration after another; the rows of services that are the same are kept.
#[derive(Debug, Default)]
pub struct Compiler {
    image: Image,
    /// The services of the image, by where they are in memory, each with its keys.
    services: BTreeMap<*const desired::Service, (Arc<desired::Service>, Vec<ServiceKey>)>,
    /// Two services have one address: which one stands depends on their order.
    contested: bool,
}

impl Compiler {
    /// What was compiled last.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// What a node of which only the pods are known shall do.
    pub fn compile(&mut self, desired: &Desired, pods: &BTreeMap<u64, PodRef>) -> &Image {
        let node = Node {
            pods: pods.clone(),
            ..Node::default()
        };
        self.compile_on(desired, &node)
    }

    /// What the node shall do.
    pub fn compile_on(&mut self, desired: &Desired, node: &Node) -> &Image {
        if self.contested {
            *self = Self::default();
        }
        let wanted: BTreeSet<*const desired::Service> =
            desired.services.iter().map(Arc::as_ptr).collect();
        let routes = &mut self.image.routes;
        self.services.retain(|service, (_, keys)| {
            let stays = wanted.contains(service);
            if !stays {
                keys.iter().for_each(|key| {
                    routes.remove(key);
                });
            }
            stays
        });
        for service in &desired.services {
            if !self.services.contains_key(&Arc::as_ptr(service)) {
                self.add(service);
            }
        }
        routes_from_outside(&mut self.image, desired, &node.edge);
        let class = |pod: &PodRef| desired.classes.get(pod).copied().unwrap_or(CLASS_ANYONE);
        let addresses: BTreeMap<u64, &Vec<IpAddr>> = node
            .ports
            .values()
            .map(|port| (port.cookie, &port.addresses))
            .collect();
        let source = |cookie: &u64, pod: &PodRef| Source {
            class: class(pod),
            policy: policy(desired, pod),
            pod: pod.clone(),
            interface: node.interfaces.get(cookie).copied().unwrap_or_default(),
            addresses: addresses.get(cookie).copied().cloned().unwrap_or_default(),
        };
        let (key, route) = canary::row();
        if node.canary {
            self.image.routes.insert(key, route);
        } else {
            self.image.routes.remove(&key);
        }
        self.image.sources = node
            .pods
            .iter()
            .map(|(&cookie, pod)| (cookie, source(&cookie, pod)))
            .collect();
        self.image.egress = egress(desired, node);
        if let Some(cookie) = node.own.filter(|_| self.image.egress.is_on()) {
            let own = Source {
                class: CLASS_ANYONE,
                policy: HOST.to_owned(),
                pod: self::node(),
                interface: 0,
                addresses: Vec::new(),
            };
            self.image.sources.insert(cookie, own);
        }
        &self.image
    }

    fn add(&mut self, service: &Arc<desired::Service>) {
        let mut own = Image::default();
        for port in &service.ports {
            add_port(&mut own, service, port);
        }
        let keys: Vec<ServiceKey> = own.routes.keys().copied().collect();
        for (key, route) in own.routes {
            self.contested |= self.image.routes.insert(key, route).is_some();
        }
        self.services
            .insert(Arc::as_ptr(service), (Arc::clone(service), keys));
    }
}

/// Ports of gateways that are steered in the kernel.
fn routes_from_outside(image: &mut Image, desired: &Desired, node: &Edge) {
    drop(image.routes.split_off(&edge::first_key()));
    image.routes.extend(edge::rows(&desired.listeners, node));
}

/// The policy of a pod.
fn policy(desired: &Desired, pod: &PodRef) -> String {
    let named = desired.egress.pods.get(pod);
    named.map_or_else(|| ANYONE.to_owned(), Clone::clone)
}

/// The egress guard; nothing while every policy is open.
fn egress(desired: &Desired, node: &Node) -> Egress {
    let wanted = Egress {
        policies: desired.egress.policies.clone(),
        resolvers: desired.egress.resolvers.clone(),
        found: Arc::clone(&node.found),
        ports: node
            .ports
            .iter()
            .map(|(&index, port)| {
                let policy = policy(desired, &port.pod);
                (
                    index,
                    Port {
                        policy,
                        ..port.clone()
                    },
                )
            })
            .collect(),
        limits: node.limits,
    };
    if wanted.is_on() {
        wanted
    } else {
        Egress::default()
    }
}

fn add_port(image: &mut Image, service: &desired::Service, port: &desired::Port) {
    let name = Arc::new(ServiceName {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        host: service.host.clone(),
        port_name: port.name.clone(),
        protocol: port.protocol.clone(),
    });
    let varies = port.views.keys().any(|&class| class != CLASS_ANYONE);
    for (&class, view) in &port.views {
        for &address in &service.addresses {
            let key = key(class, address, port);
            let mut route = row(&name, port, view, address);
            route.varies = varies && class == CLASS_ANYONE;
            image.routes.insert(key, Arc::new(route));
        }
    }
}

/// What leads to the row of a port, for a class of clients.
pub fn key(class: ClassId, address: IpAddr, port: &desired::Port) -> ServiceKey {
    ServiceKey::new(
        class,
        Addr::from(address),
        Number::new(port.number),
        port.proto,
    )
}

fn row(name: &Arc<ServiceName>, port: &desired::Port, view: &View, address: IpAddr) -> Route {
    let mut route = Route {
        service: Arc::clone(name),
        rule: Arc::new(desired::Rule::Service),
        hidden: false,
        varies: false,
        depth: Depth::Connect,
        auto: false,
        affinity_secs: port.affinity_secs.unwrap_or_default(),
        destinations: Vec::new(),
    };
    match view {
        View::Hidden => route.hidden = true,
        View::Route(view) => {
            route.rule = Arc::new(view.rule.clone());
            route.depth = view.depth;
            route.auto = view.auto;
            route.destinations = view
                .destinations
                .iter()
                .map(|found| destination(found, address))
                .collect();
        }
    }
    route
}

pub(super) fn destination(found: &desired::Destination, address: IpAddr) -> Destination {
    let name = DestinationName {
        host: found.host.clone(),
        port: found.port,
        subset: found.subset.clone(),
        weight: found.weight,
        destination_rules: found.destination_rules.clone(),
    };
    let endpoints = of_family(&found.endpoints, address);
    Destination {
        name: Arc::new(name),
        endpoints,
    }
}

/// The endpoints that a socket of the service address's family can reach.
fn of_family(endpoints: &Arc<[Endpoint]>, address: IpAddr) -> Arc<[Endpoint]> {
    let fits = |endpoint: &&Endpoint| endpoint.ip.is_ipv4() == address.is_ipv4();
    if endpoints.iter().all(|endpoint| fits(&endpoint)) {
        return Arc::clone(endpoints);
    }
    endpoints.iter().filter(fits).cloned().collect()
}
