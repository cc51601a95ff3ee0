//! The maps held against the layout: what somebody else changed.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::service::{Destination as DestinationRow, Route as RouteRow, ServiceKey};

use super::{Layout, Placed, prepare};
use crate::live::Live;
use steer_common::limits::DESTINATIONS_MAX;

/// Rows that differ, by map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Differences {
    /// How many, by map.
    pub maps: BTreeMap<&'static str, usize>,
    /// Services whose routes cannot be trusted.
    pub services: BTreeSet<ServiceKey>,
}

impl Differences {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    fn add(&mut self, map: &'static str, count: usize) {
        if count > 0 {
            *self.maps.entry(map).or_default() += count;
        }
    }

    fn service(&mut self, map: &'static str, key: ServiceKey) {
        self.add(map, 1);
        self.services.insert(key);
    }
}

impl Layout {
    /// What is live, and is not as this layout has it.
    pub fn differences(&self, live: &Live) -> Differences {
        let mut found = Differences::default();
        for (key, placed) in &self.placed {
            match live
                .services
                .get(key)
                .and_then(|row| Some((*row, live.routes.get(row)?)))
            {
                Some((row, route)) if row == placed.row => {
                    if !self.is_row_of(route, *key, placed) {
                        found.service("ROUTES", *key);
                    } else if !leads_to_endpoints(route, placed, live) {
                        found.service("ENDPOINTS", *key);
                    }
                }
                Some(_) | None => found.service("SERVICES", *key),
            }
        }
        let stray = live
            .services
            .keys()
            .filter(|key| !self.placed.contains_key(key));
        found.add("SERVICES", stray.count());
        let sources = self
            .sources
            .iter()
            .map(|(cookie, (_, row))| (*cookie, *row));
        found.add("SOURCES", differing(&sources.collect(), &live.sources));
        let members = self.placed.values().flat_map(|placed| &placed.members);
        let members = members.map(|(&key, &member)| (key, member)).collect();
        found.add("MEMBERS", differing(&members, &live.members));
        self.egress_differences(live, &mut found);
        found
    }

    fn egress_differences(&self, live: &Live, found: &mut Differences) {
        let (wanted, live) = (self.egress.rows(), &live.egress);
        found.add("META", usize::from(wanted.settings != live.settings));
        found.add("POLICIES", differing(&wanted.policies, &live.policies));
        found.add("EGRESS_NETS", differing(&wanted.nets, &live.nets));
        found.add("EGRESS_HOSTS", differing(&wanted.hosts, &live.hosts));
        found.add("EGRESS_NAMES", differing(&wanted.names, &live.names));
        found.add(
            "EGRESS_RESOLVED",
            differing(&wanted.resolved, &live.resolved),
        );
        let resolvers = wanted.resolvers.symmetric_difference(&live.resolvers);
        found.add("RESOLVERS", resolvers.count());
        found.add("PORTS", differing(&wanted.ports, &live.ports));
    }

    /// Whether a row of ROUTES is what this layout wrote there, whenever it did.
    fn is_row_of(&self, row: &RouteRow, key: ServiceKey, placed: &Placed) -> bool {
        if !placed.unnamed.is_empty() || placed.route.service.host.is_empty() {
            // An earlier agent's, until the first plan.
            return true;
        }
        let mut destinations = [DestinationRow::default(); DESTINATIONS_MAX];
        let Ok(scale) = prepare::scale_of(&placed.route) else {
            return true;
        };
        for (place, found) in destinations.iter_mut().zip(&placed.route.destinations) {
            let Some(pool) = self.pools.get(&found.endpoints) else {
                return true;
            };
            *place = DestinationRow {
                first: pool.first,
                count: pool.count,
                weight: prepare::weight(found, &placed.route) / scale.divisor,
                subset: self.tables.destinations.known(&found.name),
            };
        }
        let wanted = RouteRow {
            key,
            service: self.tables.services.known(&placed.route.service),
            split: placed.split,
            flags: prepare::flags(&placed.route),
            total: scale.total,
            stride: scale.stride,
            counters: placed.counters.0,
            destination_count: u32::try_from(placed.route.destinations.len()).unwrap_or(u32::MAX),
            affinity_secs: placed.route.affinity_secs,
            generation: row.generation,
            rule: self.tables.rules.known(&placed.route.rule),
            destinations,
        };
        *row == wanted
    }
}

fn leads_to_endpoints(row: &RouteRow, placed: &Placed, live: &Live) -> bool {
    let ranges = row.destinations().iter().zip(&placed.route.destinations);
    ranges.into_iter().all(|(range, wanted)| {
        let mut indices = (range.first..).zip(wanted.endpoints.iter());
        indices.all(|(index, wanted)| {
            live.endpoints.get(&index).is_some_and(|found| {
                found.addr.to_ip() == wanted.ip && found.port.number() == wanted.port
            })
        })
    })
}

/// How many rows are in one and not, or otherwise, in the other.
fn differing<K: Ord, V: PartialEq>(wanted: &BTreeMap<K, V>, live: &BTreeMap<K, V>) -> usize {
    let wrong = wanted
        .iter()
        .filter(|(key, row)| live.get(key) != Some(row));
    let stray = live.keys().filter(|key| !wanted.contains_key(key));
    wrong.count() + stray.count()
}
