//! `steer get endpoints`, the columns of `istioctl proxy-config endpoint`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::Serialize;

use super::Filter;
use crate::cli::{instance::Seen, output::Row};

#[derive(Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the columns"
)]
pub(super) struct Endpoint {
    endpoint: SocketAddr,
    status: &'static str,
    outlier_check: &'static str,
    cluster: String,
    workload: Option<String>,
    in_use: bool,
}

/// One row for each endpoint in each cluster, sorted by address, port and cluster.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Endpoint> {
    let mut rows: BTreeMap<(SocketAddr, String), Endpoint> = BTreeMap::new();
    let mut add =
        |endpoint: SocketAddr, cluster: String, workload: Option<String>, in_use: bool| {
            let row = rows.entry((endpoint, cluster.clone())).or_insert(Endpoint {
                endpoint,
                // Only endpoints that may be used are held, and none is ejected.
                status: "HEALTHY",
                outlier_check: "OK",
                cluster,
                workload,
                in_use,
            });
            row.in_use |= in_use;
        };
    for found in seen
        .clusters
        .iter()
        .filter(|found| filter.takes_host(&found.host))
    {
        let subset = found.subset.as_deref().unwrap_or_default();
        let cluster = format!("outbound|{}|{subset}|{}", found.port, found.host);
        for endpoint in &found.endpoints {
            let pod = endpoint.pod.as_ref().map(ToString::to_string);
            add(
                (endpoint.ip, endpoint.port).into(),
                cluster.clone(),
                pod,
                false,
            );
        }
    }
    let mut done = BTreeSet::new();
    for in_force in seen.routes() {
        for (name, _, placed) in seen.destinations(in_force.route) {
            let Some(name) = name.filter(|name| filter.takes_host(&name.host)) else {
                continue;
            };
            if !done.insert((name.cluster(), placed.first, placed.count)) {
                continue;
            }
            for index in placed.first..placed.first.saturating_add(placed.count) {
                let Some(found) = seen.live.endpoints.get(&index) else {
                    continue;
                };
                let pod = seen
                    .names
                    .workloads
                    .get(&found.workload)
                    .map(ToString::to_string);
                add(found.peer().to_socket_addr(), name.cluster(), pod, true);
            }
        }
    }
    rows.into_values().collect()
}

impl Row for Endpoint {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec!["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"];
        if wide {
            headers.extend(["WORKLOAD", "IN USE"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.endpoint.to_string(),
            self.status.to_owned(),
            self.outlier_check.to_owned(),
            self.cluster.clone(),
        ];
        if wide {
            let in_use = if self.in_use { "yes" } else { "no" };
            cells.extend([self.workload.clone().unwrap_or_default(), in_use.to_owned()]);
        }
        cells
    }
}
