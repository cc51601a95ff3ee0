//! Lines of the access log for connections that nobody looks into: what the kernel tells when they close.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use steer_common::{
    connection::{Connection, OBSERVE_ACCEPTED, OBSERVE_OPENED},
    service::SplitId,
};

use super::metrics::Metrics;
use crate::{
    access_log::{Entry, Format, Writer},
    desired::{
        Desired,
        model::{Destination, PodRef, View, cluster_name},
    },
    image::key,
    kernel::{self, Kernel, KernelError, Pins, heartbeat::now_ns},
    node::discover::Scan,
    plan::Layout,
    proxy::Told,
};

/// Everything of a pod.
const OBSERVE_ALL: u32 = OBSERVE_OPENED | OBSERVE_ACCEPTED;

/// As Envoy names the cluster of what no rule leads anywhere.
const PASSTHROUGH: &str = "PassthroughCluster";

/// Reads what the kernel tells, and knows the names for its numbers.
pub(super) struct Connections {
    ring: kernel::Connections,
    log: Writer,
    told: Told,
    observed: BTreeMap<u64, u32>,
    names: Names,
}

/// Names for numbers.
#[derive(Default)]
struct Names {
    format: Arc<Format>,
    /// Those that log, and which sides.
    pods: BTreeMap<u64, (PodRef, u32)>,
    /// The clusters of a route's destinations, in their order.
    clusters: BTreeMap<SplitId, Vec<String>>,
}

impl Connections {
    /// Opens the ring.
    pub(super) fn open(pins: &Pins, log: Writer, told: Told) -> Result<Self, KernelError> {
        Ok(Self {
            ring: kernel::Connections::open(pins)?,
            log,
            told,
            observed: BTreeMap::new(),
            names: Names::default(),
        })
    }

    /// Observes the pods that log, and learns the names of what is in force.
    pub(super) fn follow(
        &mut self,
        desired: &Desired,
        layout: &Layout,
        found: &Scan,
        kernel: &mut Kernel,
        metrics: Option<&Metrics>,
    ) -> Result<(), KernelError> {
        let logs = &desired.access_logs;
        let pods = logs.pods.iter().filter_map(|(pod, sides)| {
            let cookie = found.workloads.get(pod)?.cookie;
            let bit = |on: bool, bit| if on { bit } else { 0 };
            let sides = bit(sides.client, OBSERVE_OPENED) | bit(sides.server, OBSERVE_ACCEPTED);
            Some((cookie, (pod, sides)))
        });
        let pods: BTreeMap<u64, (&PodRef, u32)> = pods.collect();
        let observed = pods.iter().map(|(&cookie, &(_, sides))| (cookie, sides));
        let mut observed: BTreeMap<u64, u32> = observed.collect();
        if metrics.is_some() {
            let all = found.namespaces.keys().map(|&cookie| (cookie, OBSERVE_ALL));
            observed.extend(all);
        }
        if observed.is_empty() && self.observed.is_empty() && !kernel.observes() {
            return Ok(());
        }
        self.names = Names {
            format: Arc::new(logs.format.clone()),
            pods: pods
                .iter()
                .map(|(&cookie, &(pod, sides))| (cookie, (pod.clone(), sides)))
                .collect(),
            clusters: clusters(desired, layout),
        };
        if observed != self.observed || kernel.observes() == observed.is_empty() {
            kernel.observe(&observed)?;
            self.observed = observed;
        }
        Ok(())
    }

    /// Writes a line for each connection that has closed, and hands on what is counted.
    pub(super) fn take(&mut self, metrics: Option<&Metrics>) {
        while let Some(closed) = self.ring.next_record() {
            if let Some(metrics) = metrics {
                metrics.record(&closed);
            }
            let accepted = closed.side == OBSERVE_ACCEPTED;
            if accepted && self.told.take(closed.remote.to_socket_addr()) {
                continue;
            }
            // Of a pod that is gone, or does not log, or not any more.
            let Some(pod) = self.names.logger(&closed) else {
                continue;
            };
            let (clock_ns, now) = (now_ns(), Timestamp::now());
            if let Some(entry) = self.names.entry(pod.clone(), &closed, clock_ns, now) {
                self.log.hand_over(self.names.format.line(&entry));
            }
        }
    }
}

/// The clusters of routes, by their splits.
fn clusters(desired: &Desired, layout: &Layout) -> BTreeMap<SplitId, Vec<String>> {
    let mut clusters = BTreeMap::new();
    for service in &desired.services {
        for port in &service.ports {
            for (&class, view) in &port.views {
                let View::Route(route) = view else { continue };
                for &address in &service.addresses {
                    if let Some(placed) = layout.placed().get(&key(class, address, port)) {
                        let names = route.destinations.iter().map(name);
                        clusters.insert(placed.split, names.collect());
                    }
                }
            }
        }
    }
    clusters
}

fn name(to: &Destination) -> String {
    cluster_name(&to.host, to.port, to.subset.as_deref())
}

impl Names {
    /// The pod whose end it was, if it logs that.
    fn logger(&self, closed: &Connection) -> Option<&PodRef> {
        let (pod, sides) = self.pods.get(&closed.namespace)?;
        (sides & closed.side != 0).then_some(pod)
    }

    /// What a line of the pod's says of a connection. `clock_ns` is the kernel's clock `now`.
    fn entry(
        &self,
        pod: PodRef,
        closed: &Connection,
        clock_ns: u64,
        now: Timestamp,
    ) -> Option<Entry> {
        let ago = i64::try_from(clock_ns.saturating_sub(closed.opened_ns)).unwrap_or(i64::MAX);
        let took = closed.closed_ns.saturating_sub(closed.opened_ns);
        let accepted = closed.side == OBSERVE_ACCEPTED;
        let (local, remote) = (
            closed.local.to_socket_addr(),
            closed.remote.to_socket_addr(),
        );
        // Envoy counts what its client sends, which of an opened connection is this end.
        let (received, sent) = if accepted {
            (closed.received, closed.sent)
        } else {
            (closed.sent, closed.received)
        };
        Some(Entry {
            pod,
            start: now.saturating_sub(SignedDuration::from_nanos(ago)).ok()?,
            duration: Duration::from_nanos(took),
            request: None,
            status: 0,
            flags: Vec::new(),
            details: None,
            received,
            sent,
            service_time: None,
            upstream: Some(if accepted { local } else { remote }),
            upstream_local: (!accepted).then_some(local),
            cluster: self.cluster(closed),
            dialled: Some(closed.dialled.to_socket_addr()),
            client: Some(if accepted { remote } else { local }),
            route: None,
            server_name: None,
        })
    }

    fn cluster(&self, closed: &Connection) -> Option<String> {
        if closed.side == OBSERVE_ACCEPTED {
            return Some(format!("inbound|{}||", closed.local.port.number()));
        }
        if !closed.is_steered() {
            return Some(PASSTHROUGH.to_owned());
        }
        let index = usize::try_from(closed.destination).ok()?;
        self.clusters.get(&closed.split)?.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use steer_common::addr::Peer;

    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::from(text.parse::<std::net::SocketAddr>().unwrap())
    }

    fn closed() -> Connection {
        Connection {
            opened_ns: 5_000_000_000,
            closed_ns: 5_012_000_000,
            namespace: 7,
            received: 500,
            sent: 79,
            dialled: peer("10.200.1.92:80"),
            local: peer("10.10.0.20:40000"),
            remote: peer("10.10.0.12:3000"),
            service: 3,
            split: 9,
            destination: 1,
            side: OBSERVE_OPENED,
            rtt_us: 40,
        }
    }

    fn line(closed: &Connection) -> Option<String> {
        let pod = PodRef {
            namespace: "shop".to_owned(),
            name: "webapp".to_owned(),
        };
        let cluster = |subset| cluster_name("catalog", 80, Some(subset));
        let names = Names {
            format: Arc::default(),
            pods: BTreeMap::from([(7, (pod, OBSERVE_OPENED | OBSERVE_ACCEPTED))]),
            clusters: BTreeMap::from([(9, vec![cluster("v1"), cluster("v2")])]),
        };
        let now = "2026-11-29T16:00:01Z".parse().unwrap();
        let pod = names.logger(closed)?.clone();
        let entry = names.entry(pod, closed, 6_000_000_000, now)?;
        Some(names.format.line(&entry))
    }

    #[test]
    fn a_connection_that_was_opened() {
        assert_eq!(
            line(&closed()).unwrap(),
            "[2026-11-29T16:00:00.000Z] \"- - -\" 0 - - - \"-\" 79 500 12 - \"-\" \"-\" \"-\" \"-\" \
             \"10.10.0.12:3000\" outbound|80|v2|catalog 10.10.0.20:40000 10.200.1.92:80 \
             10.10.0.20:40000 - -\n"
        );
    }

    #[test]
    fn one_that_no_rule_led_anywhere() {
        let closed = Connection {
            service: 0,
            dialled: peer("192.0.2.1:443"),
            remote: peer("192.0.2.1:443"),
            ..closed()
        };
        let line = line(&closed).unwrap();
        let rest = "\"192.0.2.1:443\" PassthroughCluster 10.10.0.20:40000 192.0.2.1:443 ";
        assert!(line.contains(rest), "{line}");
    }

    #[test]
    fn one_that_was_accepted() {
        let closed = Connection {
            service: 0,
            local: peer("10.10.0.20:8080"),
            remote: peer("10.10.0.30:50000"),
            dialled: peer("10.10.0.20:8080"),
            side: OBSERVE_ACCEPTED,
            ..closed()
        };
        let line = line(&closed).unwrap();
        let rest = "500 79 12 - \"-\" \"-\" \"-\" \"-\" \"10.10.0.20:8080\" inbound|8080|| - \
                    10.10.0.20:8080 10.10.0.30:50000 - -\n";
        assert!(line.ends_with(rest), "{line}");
    }

    #[test]
    fn nobody_logs_for_a_pod_that_is_not_there() {
        let other = Connection {
            namespace: 8,
            ..closed()
        };
        assert_eq!(line(&other), None);
    }
}
