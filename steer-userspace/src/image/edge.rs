//! Ports of Gateways that the kernel leads to pods by itself: those of which addresses and ports alone
//! decide, if all that may be drawn is on this node. Of what is elsewhere the answers would not come back
//! this way, and of a split in two halves neither would be exact.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use steer_common::{
    Proto,
    addr::{Addr, Port},
    limits::DESTINATIONS_MAX,
    service::{CLASS_OUTSIDE, Depth, ServiceKey},
};

use super::{
    compile,
    model::{Destination, Route, ServiceName},
};
use crate::desired::gateway::model::{Entrance, Listener, Stream};

/// Addresses of a node at which the kernel steers; at others the agent serves. Rows are not endless.
const ADDRESSES_MAX: usize = 32;

/// What is known of a node's doors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    /// The addresses at which clients outside dial it; none if the kernel cannot steer there.
    pub addresses: BTreeSet<IpAddr>,
    /// The addresses of its pods.
    pub pods: BTreeSet<IpAddr>,
}

/// The first key of such rows; they stand behind all others.
pub(super) fn first_key() -> ServiceKey {
    ServiceKey {
        class: CLASS_OUTSIDE,
        ..ServiceKey::default()
    }
}

/// One row for each port and address.
pub(super) fn rows(listeners: &[Listener], node: &Edge) -> BTreeMap<ServiceKey, Arc<Route>> {
    let streams = listeners
        .iter()
        .filter_map(|listener| match &listener.entrance {
            Entrance::Tcp(Some(stream)) => Some((listener, stream)),
            _ => None,
        });
    let rows = streams.flat_map(|(listener, stream)| {
        let addresses = node.addresses.iter().take(ADDRESSES_MAX);
        addresses.filter_map(move |&address| {
            let route = row(listener, stream, address, &node.pods)?;
            let port = Port::new(listener.port);
            let key = ServiceKey::new(CLASS_OUTSIDE, Addr::from(address), port, Proto::Tcp);
            Some((key, Arc::new(route)))
        })
    });
    rows.collect()
}

fn row(
    listener: &Listener,
    stream: &Stream,
    address: IpAddr,
    pods: &BTreeSet<IpAddr>,
) -> Option<Route> {
    let destinations = stream.destinations.iter();
    let destinations: Vec<Destination> = destinations
        .map(|found| compile::destination(found, address))
        .collect();
    let mut drawn = destinations.iter().filter(|found| found.name.weight > 0);
    let is_here = |found: &Destination| {
        let mut all = found.endpoints.iter();
        !found.endpoints.is_empty() && all.all(|endpoint| pods.contains(&endpoint.ip))
    };
    let any = drawn.clone().next().is_some();
    if !any || !drawn.all(is_here) || destinations.len() > DESTINATIONS_MAX {
        return None;
    }
    let service = ServiceName {
        namespace: listener.service.namespace.clone(),
        name: listener.service.name.clone(),
        host: listener.host.clone(),
        port_name: listener.number.to_string(),
        protocol: "TCP".to_owned(),
    };
    Some(Route {
        service: Arc::new(service),
        rule: Arc::new(stream.rule.clone()),
        hidden: false,
        varies: false,
        depth: Depth::Connect,
        auto: false,
        affinity_secs: 0,
        destinations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desired::model::{self as desired, Endpoint, Rule},
        finding::ObjectRef,
    };

    fn listener(destinations: &[(u32, &[&str])]) -> Listener {
        let destination = |&(weight, endpoints): &(u32, &[&str])| {
            let endpoint = |ip: &&str| Endpoint {
                ip: ip.parse().unwrap(),
                port: 5432,
                pod: None,
            };
            desired::Destination {
                host: "db.shop.svc.cluster.local".to_owned(),
                port: 5432,
                http2: false,
                subset: None,
                weight,
                destination_rules: Vec::new(),
                endpoints: endpoints.iter().map(endpoint).collect(),
            }
        };
        Listener {
            port: 30432,
            service: ObjectRef {
                kind: "Service".to_owned(),
                namespace: "istio-system".to_owned(),
                name: "gateway".to_owned(),
            },
            host: "gateway.istio-system.svc.cluster.local".to_owned(),
            number: 5432,
            target: 5432,
            entrance: Entrance::Tcp(Some(Stream {
                rule: Rule::Service,
                destinations: destinations.iter().map(destination).collect(),
            })),
        }
    }

    fn edge() -> Edge {
        let set = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect();
        Edge {
            addresses: set(&["192.0.2.1", "2001:db8::1"]),
            pods: set(&["10.10.0.12", "10.10.0.13", "fd00::12"]),
        }
    }

    fn addresses(destinations: &[(u32, &[&str])]) -> Vec<String> {
        let rows = rows(&[listener(destinations)], &edge());
        assert!(rows.keys().all(|key| *key > first_key()));
        rows.keys().map(|key| key.addr.to_string()).collect()
    }

    #[test]
    fn a_family_is_steered_if_all_that_may_be_drawn_is_here() {
        let here: &[&str] = &["10.10.0.12", "10.10.0.13"];
        let both: &[&str] = &["10.10.0.12", "fd00::12"];
        let elsewhere: &[&str] = &["10.10.0.12", "10.20.0.5"];
        assert_eq!(addresses(&[(90, here), (10, here)]), ["192.0.2.1"]);
        assert_eq!(addresses(&[(1, both)]), ["192.0.2.1", "2001:db8::1"]);
        assert!(addresses(&[(90, here), (10, elsewhere)]).is_empty());
        // Who is never drawn may be anywhere; whom nobody answers for is not led to.
        assert_eq!(addresses(&[(100, here), (0, elsewhere)]), ["192.0.2.1"]);
        assert!(addresses(&[(90, here), (10, &[])]).is_empty());
        assert!(addresses(&[(0, here)]).is_empty());
    }

    #[test]
    fn what_no_row_holds_is_left_to_the_agent() {
        let here: &[&str] = &["10.10.0.12"];
        assert!(addresses(&vec![(1, here); DESTINATIONS_MAX + 1]).is_empty());
    }
}
