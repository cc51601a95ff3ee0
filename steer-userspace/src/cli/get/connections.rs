//! `steer get connections`: TCP connections of this node's pods that are open, with what the kernel knows
//! of how they were steered. No agent is asked.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context as _;
use serde::Serialize;
use steer_common::flow::{DESTINATION_BY_REQUEST, Origin};

use super::Filter;
use crate::{
    cli::{
        args::Instance,
        instance::{Reached, Seen},
        output::Row,
    },
    kernel::origins,
    node::sockets::{Open, Sockets},
};

/// A connection at one of its ends.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Held {
    /// The cookie of the namespace.
    pub(in crate::cli) namespace: u64,
    pub(in crate::cli) open: Open,
    /// How it was steered, if the pod opened it and it was.
    pub(in crate::cli) origin: Option<Origin>,
}

#[derive(Serialize)]
pub(super) struct Connection {
    namespace: String,
    pod: String,
    local: SocketAddr,
    /// What the pod dialled; none if it was not steered, or is the other side.
    dialled: Option<String>,
    cluster: Option<String>,
    remote: SocketAddr,
    state: &'static str,
    sent_bytes: u64,
    received_bytes: u64,
    rtt_us: u32,
}

/// Looks at the sockets of the pods that the kernel knows.
pub(in crate::cli) fn look(instance: &Instance, seen: &Seen) -> anyhow::Result<Vec<Held>> {
    let origins = origins(&instance.pins())?;
    let sockets = Sockets::of(|cookie| seen.live.sources.contains_key(&cookie));
    let sockets = sockets.context("looking at the sockets of pods")?;
    let mut all = Vec::new();
    for (namespace, connections) in sockets.list() {
        let beside = connections
            .into_iter()
            .filter(|open| !open.remote.ip().is_loopback());
        all.extend(beside.map(|open| Held {
            namespace,
            origin: origins.get(&open.socket).copied(),
            open,
        }));
    }
    Ok(all)
}

/// One row for each end that is in a pod of this node.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Connection> {
    let clusters = clusters(seen);
    let rows = seen
        .connections
        .iter()
        .map(|held| row(seen, &clusters, held));
    let mut rows: Vec<Connection> = rows
        .filter(|row| {
            let cluster = row.cluster.as_deref().unwrap_or_default();
            filter.takes_names(&row.namespace, &row.pod)
                || filter.takes_names(&row.namespace, cluster)
        })
        .collect();
    rows.sort_by(|a, b| {
        (&a.namespace, &a.pod, a.local, a.remote).cmp(&(&b.namespace, &b.pod, b.local, b.remote))
    });
    rows
}

/// The clusters of a route's destinations, by split and number.
fn clusters(seen: &Seen) -> BTreeMap<(u32, u32), String> {
    let routes = seen.live.routes.values();
    routes
        .flat_map(|route| {
            let names = seen.destinations(route).map(|to: Reached<'_>| to.cluster());
            (0..)
                .zip(names)
                .map(|(index, name)| ((route.split, index), name))
        })
        .collect()
}

fn row(seen: &Seen, clusters: &BTreeMap<(u32, u32), String>, held: &Held) -> Connection {
    let source = seen.live.sources.get(&held.namespace);
    let pod = source.and_then(|source| seen.names.workloads.get(&source.workload));
    let text = |part: Option<&String>| part.cloned().unwrap_or_else(|| "?".to_owned());
    let origin = held.origin.as_ref();
    Connection {
        namespace: text(pod.map(|pod| &pod.namespace)),
        pod: text(pod.map(|pod| &pod.name)),
        local: held.open.local,
        dialled: origin.map(|origin| origin.dialled.to_string()),
        cluster: origin.map(|origin| match origin.destination {
            DESTINATION_BY_REQUEST => "(by request)".to_owned(),
            index => {
                let found = clusters.get(&(origin.split, index));
                found.cloned().unwrap_or_else(|| "?".to_owned())
            }
        }),
        remote: held.open.remote,
        state: held.open.state,
        sent_bytes: held.open.sent,
        received_bytes: held.open.received,
        rtt_us: held.open.rtt_us,
    }
}

impl Row for Connection {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "NAMESPACE",
            "POD NAME",
            "LOCAL",
            "DIALLED",
            "CLUSTER",
            "REMOTE",
            "STATE",
        ];
        if wide {
            headers.extend(["SENT", "RECEIVED", "RTT"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let dash = || "-".to_owned();
        let mut cells = vec![
            self.namespace.clone(),
            self.pod.clone(),
            self.local.to_string(),
            self.dialled.clone().unwrap_or_else(dash),
            self.cluster.clone().unwrap_or_else(dash),
            self.remote.to_string(),
            self.state.to_owned(),
        ];
        if wide {
            cells.extend([
                self.sent_bytes.to_string(),
                self.received_bytes.to_string(),
                format!("{}us", self.rtt_us),
            ]);
        }
        cells
    }
}
