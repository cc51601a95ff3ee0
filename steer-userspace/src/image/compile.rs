//! Desired -> image: one row for each service address, port and class.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use steer_common::{
    addr::{Addr, Port},
    service::{CLASS_ANYONE, ClassId, Depth, ServiceKey},
};

use super::model::{Destination, DestinationName, Image, Route, ServiceName, Source};
use crate::desired::model::{self as desired, Desired, Endpoint, PodRef, View};

/// Compiles what the node shall do. `pods` are the network namespaces that were found, by cookie.
pub fn compile(desired: &Desired, pods: &BTreeMap<u64, PodRef>) -> Image {
    let mut compiler = Compiler::default();
    compiler.compile(desired, pods);
    compiler.image
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
    /// What the node shall do.
    pub fn compile(&mut self, desired: &Desired, pods: &BTreeMap<u64, PodRef>) -> &Image {
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
        let class = |pod: &PodRef| desired.classes.get(pod).copied().unwrap_or(CLASS_ANYONE);
        let source = |pod: &PodRef| Source {
            class: class(pod),
            pod: pod.clone(),
        };
        self.image.sources = pods
            .iter()
            .map(|(&cookie, pod)| (cookie, source(pod)))
            .collect();
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

fn key(class: ClassId, address: IpAddr, port: &desired::Port) -> ServiceKey {
    ServiceKey::new(
        class,
        Addr::from(address),
        Port::new(port.number),
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
        affinity_secs: port.affinity_secs.unwrap_or_default(),
        destinations: Vec::new(),
    };
    match view {
        View::Hidden => route.hidden = true,
        View::Route(view) => {
            route.rule = Arc::new(view.rule.clone());
            route.depth = view.depth;
            route.destinations = view
                .destinations
                .iter()
                .map(|found| destination(found, address))
                .collect();
        }
    }
    route
}

fn destination(found: &desired::Destination, address: IpAddr) -> Destination {
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
