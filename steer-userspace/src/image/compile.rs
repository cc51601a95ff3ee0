//! Desired -> image: one row for each service address, port and class.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use steer_common::{
    addr::{Addr, Port},
    service::{CLASS_ANYONE, ClassId, Depth, ServiceKey},
};

use super::model::{Destination, DestinationName, Image, Route, ServiceName, Source};
use crate::desired::model::{self as desired, Desired, Endpoint, PodRef, View};

/// Compiles what the node shall do. `pods` are the network namespaces that were found, by cookie.
pub fn compile(desired: &Desired, pods: &BTreeMap<u64, PodRef>) -> Image {
    let mut image = Image::default();
    for service in &desired.services {
        for port in &service.ports {
            add_port(&mut image, service, port);
        }
    }
    for (&cookie, pod) in pods {
        let class = desired.classes.get(pod).copied().unwrap_or(CLASS_ANYONE);
        image.sources.insert(
            cookie,
            Source {
                class,
                pod: pod.clone(),
            },
        );
    }
    image
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
