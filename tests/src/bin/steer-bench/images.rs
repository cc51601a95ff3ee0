//! Images made by hand: services with their destinations, and an engine that puts them in force.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::Result;
use steer::{
    control::{Engine, EngineSettings},
    desired::model::{Endpoint, Rule},
    image::{Destination, DestinationName, Route, ServiceName},
    kernel::{KernelSettings, Pins},
    plan::Capacity,
};
use steer_common::{
    Addr, Port, Proto,
    service::{Depth, ServiceKey},
};
use steer_tests::lab::Lab;

/// An engine for the sockets of one cgroup of a lab.
pub(crate) fn engine(lab: &Lab, cgroup: &Path, services: u32) -> Result<Engine> {
    Ok(Engine::start(EngineSettings {
        kernel: KernelSettings {
            pins: Pins::new(lab.dirs().pins()),
            cgroup: cgroup.to_owned(),
            capacity: Capacity::for_services(services),
        },
        state: lab.dirs().state(),
    })?)
}

/// The address of the `number`th service.
pub(crate) fn address(number: u32) -> Ipv4Addr {
    // 172.16.0.0/12 holds a million of them, away from the lab's own addresses.
    Ipv4Addr::from(0xac10_0000 + number)
}

/// The key of the `number`th service, port 80.
pub(crate) fn key(number: u32, class: u32, proto: Proto) -> ServiceKey {
    ServiceKey::new(class, Addr::from(address(number)), Port::new(80), proto)
}

/// A route to destinations of one weight and some endpoints each.
pub(crate) fn route(number: u32, destinations: &[(u32, Vec<SocketAddr>)]) -> Arc<Route> {
    let destination =
        |(index, (weight, endpoints)): (usize, &(u32, Vec<SocketAddr>))| Destination {
            name: Arc::new(DestinationName {
                host: format!("service-{number}"),
                port: 80,
                subset: Some(format!("v{}", index + 1)),
                weight: *weight,
                destination_rules: Vec::new(),
            }),
            endpoints: endpoints
                .iter()
                .map(|found| Endpoint {
                    ip: found.ip(),
                    port: found.port(),
                    pod: None,
                })
                .collect(),
        };
    Arc::new(Route {
        service: Arc::new(ServiceName {
            namespace: "bench".to_owned(),
            name: format!("service-{number}"),
            host: format!("service-{number}"),
            port_name: "http".to_owned(),
            protocol: "HTTP".to_owned(),
        }),
        rule: Arc::new(Rule::Service),
        hidden: false,
        varies: false,
        depth: Depth::Connect,
        auto: false,
        affinity_secs: 0,
        destinations: destinations.iter().enumerate().map(destination).collect(),
    })
}
