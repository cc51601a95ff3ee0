//! `steer get clusters`: the columns of `istioctl proxy-config cluster`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Filter;
use crate::{
    cli::{instance::Seen, output::Row},
    finding::ObjectRef,
};

#[derive(Serialize)]
pub(super) struct Cluster {
    service_fqdn: String,
    port: u16,
    subset: Option<String>,
    direction: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    destination_rule: Option<String>,
    endpoints: usize,
    /// Whether a route leads to it.
    in_use: bool,
    connections: u64,
}

/// The clusters that routes lead to; of a service that a DestinationRule or a VirtualService names,
/// all, whether or not a route leads there.
pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Cluster> {
    let mut rows: BTreeMap<(String, u16, Option<String>), Cluster> = BTreeMap::new();
    for found in &seen.clusters {
        let key = (found.host.clone(), found.port, found.subset.clone());
        let mut row = row(
            &found.host,
            found.port,
            found.subset.as_ref(),
            &found.destination_rules,
        );
        row.endpoints = found.endpoints.len();
        rows.insert(key, row);
    }
    let mut used: BTreeMap<(String, u16, Option<String>), BTreeSet<u32>> = BTreeMap::new();
    for in_force in seen.routes() {
        for found in seen.destinations(in_force.route) {
            let Some(name) = found.name else { continue };
            let key = (name.host.clone(), name.port, name.subset.clone());
            let row = rows.entry(key.clone()).or_insert_with(|| {
                row(
                    &name.host,
                    name.port,
                    name.subset.as_ref(),
                    &name.destination_rules,
                )
            });
            row.in_use = true;
            row.connections += found.connections;
            let (first, count) = (found.placed.first, found.placed.count);
            used.entry(key)
                .or_default()
                .extend(first..first.saturating_add(count));
        }
    }
    for (key, endpoints) in used {
        if let Some(row) = rows.get_mut(&key) {
            row.endpoints = row.endpoints.max(endpoints.len());
        }
    }
    rows.into_values()
        .filter(|row| filter.takes_host(&row.service_fqdn))
        .collect()
}

fn row(host: &str, port: u16, subset: Option<&String>, rules: &[ObjectRef]) -> Cluster {
    let names: Vec<String> = rules
        .iter()
        .map(|rule| format!("{}.{}", rule.name, rule.namespace))
        .collect();
    Cluster {
        service_fqdn: host.to_owned(),
        port,
        subset: subset.cloned(),
        direction: "outbound",
        kind: "EDS",
        destination_rule: (!names.is_empty()).then(|| names.join(",")),
        endpoints: 0,
        in_use: false,
        connections: 0,
    }
}

impl Row for Cluster {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "SERVICE FQDN",
            "PORT",
            "SUBSET",
            "DIRECTION",
            "TYPE",
            "DESTINATION RULE",
        ];
        if wide {
            headers.extend(["ENDPOINTS", "IN USE", "CONNECTIONS"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let dash = || "-".to_owned();
        let mut cells = vec![
            self.service_fqdn.clone(),
            self.port.to_string(),
            self.subset.clone().unwrap_or_else(dash),
            self.direction.to_owned(),
            self.kind.to_owned(),
            self.destination_rule.clone().unwrap_or_default(),
        ];
        if wide {
            let in_use = if self.in_use { "yes" } else { "no" };
            cells.extend([
                self.endpoints.to_string(),
                in_use.to_owned(),
                self.connections.to_string(),
            ]);
        }
        cells
    }
}
