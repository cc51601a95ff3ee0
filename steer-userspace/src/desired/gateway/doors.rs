//! The doors of gateways: the Services that they select, and where nodes listen for them.

use std::{collections::BTreeMap, sync::Arc};

use steer_common::Proto;

use super::names;
use crate::{
    desired::{
        client::contains,
        codes,
        registry::{Host, HostPort},
        report::Report,
        route::World,
    },
    source::{
        Object, Snapshot,
        core::{Pod, Service, TargetPort},
        istio::Gateway,
    },
};

/// Where nodes listen for a Service whatever its type, `PORT=NODE_PORT, ...`: kube-proxy refuses what comes
/// to a nodePort of a Service without endpoints, before any listener sees it.
const NODE_PORTS: &str = "steer.dev/node-ports";

/// A port of a Service that gateways select.
pub(super) struct Door<'w> {
    pub(super) service: &'w Arc<Object<Service>>,
    /// Its name, fully qualified.
    pub(super) host: &'w str,
    pub(super) number: u16,
    pub(super) target: u16,
    /// Where nodes listen for it.
    pub(super) node_ports: Vec<u16>,
    /// What stands there, the oldest first: gateways, and which of their servers.
    pub(super) servers: Vec<(&'w Arc<Object<Gateway>>, usize)>,
}

/// The doors of all gateways, by Service and port.
pub(super) fn find<'w>(
    world: World<'w>,
    snapshot: &'w Snapshot,
    report: &mut Report,
) -> Vec<Door<'w>> {
    let mut doors: BTreeMap<(&str, u16), Door<'w>> = BTreeMap::new();
    for gateway in &snapshot.gateways {
        let hosts = selected(world, gateway);
        if hosts.is_empty() {
            no_service(gateway, report);
        }
        for host in hosts {
            let Some(service) = host.origin.service() else {
                continue;
            };
            for (index, server) in gateway.spec.servers.iter().enumerate() {
                let number = server.port.as_ref().map(|port| port.number);
                let number = number.and_then(|number| u16::try_from(number).ok());
                let number = number.unwrap_or_default();
                let field = format!("spec.servers[{index}].port.number");
                let Some(port) = host.port(number, Proto::Tcp) else {
                    no_port(gateway, &field, number, service, report);
                    continue;
                };
                if !port.usable.is_empty() {
                    left(gateway, &field, service, report);
                    continue;
                }
                let node_ports = node_ports(snapshot, service, port, report);
                if node_ports.is_empty() {
                    no_node_port(gateway, &field, number, service, report);
                    continue;
                }
                let door = doors.entry((&host.name, number)).or_insert_with(|| Door {
                    service,
                    host: &host.name,
                    number,
                    target: target(port),
                    node_ports,
                    servers: Vec::new(),
                });
                door.servers.push((gateway, index));
            }
        }
    }
    doors.into_values().collect()
}

/// The Services whose pods a gateway selects, as far as their selectors say it: pods need not be there.
pub(super) fn selected<'w>(world: World<'w>, gateway: &Object<Gateway>) -> Vec<&'w Arc<Host>> {
    let wanted = &gateway.spec.selector;
    let is_selected = |host: &&Arc<Host>| {
        let service = host.origin.service();
        service.is_some_and(|object| contains(&object.spec.selector, wanted))
    };
    if wanted.is_empty() {
        return Vec::new();
    }
    world.registry.hosts.values().filter(is_selected).collect()
}

fn node_ports(
    snapshot: &Snapshot,
    service: &Object<Service>,
    port: &HostPort,
    report: &mut Report,
) -> Vec<u16> {
    let own = port.port.node_port.filter(|port| *port != 0);
    let annotated = annotated(service, report);
    let annotated = annotated
        .into_iter()
        .filter(|(of, _)| *of == port.port.port);
    let of_pods = snapshot
        .pods
        .iter()
        .filter(|pod| {
            pod.meta.namespace == service.meta.namespace
                && !service.spec.selector.is_empty()
                && contains(&pod.meta.labels, &service.spec.selector)
        })
        .flat_map(|pod| host_ports(pod, port));
    let mut all: Vec<u16> = own
        .into_iter()
        .chain(of_pods)
        .chain(annotated.map(|(_, at)| at))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Pairs of the annotation: a port of the Service, and one of nodes.
fn annotated(service: &Object<Service>, report: &mut Report) -> Vec<(u16, u16)> {
    let Some(text) = service.meta.annotations.get(NODE_PORTS) else {
        return Vec::new();
    };
    let pairs = text.split(',').map(|pair| {
        let (port, at) = pair.split_once('=')?;
        let number = |text: &str| text.trim().parse().ok().filter(|port: &u16| *port != 0);
        Some((number(port)?, number(at)?))
    });
    let pairs: Option<Vec<(u16, u16)>> = pairs.collect();
    pairs.unwrap_or_else(|| {
        let field = format!("metadata.annotations.{NODE_PORTS}");
        let message = format!("{text:?} is no list of ports: it has no effect");
        let help = "write PORT=NODE_PORT, with commas between them";
        report.add(service, &field, codes::GATEWAY_DOOR, message, help);
        Vec::new()
    })
}

/// The ports of the node that lead to the pod's port behind a port of its Service.
fn host_ports<'p>(pod: &'p Object<Pod>, port: &'p HostPort) -> impl Iterator<Item = u16> + 'p {
    let ports = pod.spec.containers.iter().flat_map(|found| &found.ports);
    let behind = ports.filter(|found| match &port.port.target_port {
        Some(TargetPort::Name(name)) => found.name.as_ref() == Some(name),
        _ => found.container_port == target(port),
    });
    behind.filter_map(|found| found.host_port.filter(|port| *port != 0))
}

/// The port of the pods; one that is named counts as the port of the Service.
fn target(port: &HostPort) -> u16 {
    match port.port.target_port {
        Some(TargetPort::Number(number)) if number != 0 => number,
        _ => port.port.port,
    }
}

fn no_service(gateway: &Object<Gateway>, report: &mut Report) {
    let message = if gateway.spec.selector.is_empty() {
        "it has no selector: which Services are its doors is not said, and no node listens for it"
    } else {
        "no Service has these labels in its selector: no node listens for it"
    };
    let help =
        "create a Service of type NodePort with these labels in its selector; it needs no pods";
    report.add(gateway, "spec.selector", codes::GATEWAY_DOOR, message, help);
}

fn no_port(
    gateway: &Object<Gateway>,
    field: &str,
    number: u16,
    service: &Object<Service>,
    report: &mut Report,
) {
    let message = format!(
        "{} has no TCP port {number}: no node listens for this server",
        service.reference()
    );
    let help = "name a port of the Service, not of its pods";
    report.add(gateway, field, codes::GATEWAY_PORT, message, help);
}

fn no_node_port(
    gateway: &Object<Gateway>,
    field: &str,
    number: u16,
    service: &Object<Service>,
    report: &mut Report,
) {
    let message = format!(
        "port {number} of {} has no nodePort: no node listens for it",
        service.reference()
    );
    let help = "make the Service one of type NodePort or LoadBalancer, or annotate it with \
                steer.dev/node-ports: PORT=NODE_PORT";
    report.add(gateway, field, codes::GATEWAY_DOOR, message, help);
}

fn left(gateway: &Object<Gateway>, field: &str, service: &Object<Service>, report: &mut Report) {
    let message = format!(
        "{} has pods that are ready: {} is left to them",
        service.reference(),
        names::of(gateway)
    );
    let help =
        "take its pods away (scale the gateway's Deployment to 0) to let the nodes be the gateway";
    report.add(gateway, field, codes::GATEWAY_LEFT, message, help);
}
