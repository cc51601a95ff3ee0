//! `steer get endpoints`: the columns of `istioctl proxy-config endpoint`.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Serialize;

use super::Filter;
use crate::cli::{instance::Seen, output::Row};

#[derive(Serialize)]
pub(super) struct Listed {
    endpoint: SocketAddr,
    status: &'static str,
    outlier_check: &'static str,
    cluster: String,
    workload: Option<String>,
    /// Whether a route leads to it in this cluster.
    in_use: bool,
}

/// By address, port and cluster.
type Rows = BTreeMap<(SocketAddr, String), Listed>;

/// One row for each endpoint in each cluster, sorted by address, port and cluster.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Listed> {
    let mut rows = Rows::new();
    let listed = |host: &str| filter.takes_host(host);
    for found in seen.clusters.iter().filter(|found| listed(&found.host)) {
        for endpoint in &found.endpoints {
            let at = (endpoint.ip, endpoint.port).into();
            let pod = endpoint.pod.as_ref().map(ToString::to_string);
            add(&mut rows, at, found.name(), pod, false);
        }
    }
    for in_force in seen.routes() {
        for found in seen.destinations(in_force.route) {
            if !found.name.is_some_and(|name| listed(&name.host)) {
                continue;
            }
            for endpoint in seen.endpoints(found.placed) {
                let pod = seen.names.workloads.get(&endpoint.workload);
                let pod = pod.map(ToString::to_string);
                let at = endpoint.peer().to_socket_addr();
                add(&mut rows, at, found.cluster(), pod, true);
            }
        }
    }
    rows.into_values().collect()
}

fn add(
    rows: &mut Rows,
    endpoint: SocketAddr,
    cluster: String,
    workload: Option<String>,
    in_use: bool,
) {
    let row = rows
        .entry((endpoint, cluster.clone()))
        .or_insert_with(|| Listed {
            endpoint,
            // Only endpoints that may be used are held, and none is ejected.
            status: "HEALTHY",
            outlier_check: "OK",
            cluster,
            workload: None,
            in_use,
        });
    row.in_use |= in_use;
    row.workload = row.workload.take().or(workload);
}

impl Row for Listed {
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
            let workload = self.workload.clone().unwrap_or_else(|| "-".to_owned());
            cells.extend([workload, in_use.to_owned()]);
        }
        cells
    }
}
