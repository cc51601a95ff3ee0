//! First half of planning: rows are taken and filled, nothing is replaced yet, so it can be undone.

use std::{collections::BTreeMap, sync::Arc};

use steer_common::{
    addr::Peer,
    flow::{Member, MemberKey},
    limits::DESTINATIONS_MAX,
    service::{
        Destination as DestinationRow, ROUTE_AFFINITY, ROUTE_AUTO, ROUTE_HIDDEN, ROUTE_VARIES,
        Route as RouteRow, ServiceKey, SplitId,
    },
    weights::{self, Scale, WeightError},
};

use super::{Layout, Placed, Pool};
use crate::{
    desired::model::Endpoint,
    image::{Destination, Route},
    plan::step::{PlanError, Step},
};

/// A route that has its rows.
pub(super) struct Prepared {
    pub(super) key: ServiceKey,
    pub(super) placed: Placed,
    pub(super) row: RouteRow,
    /// What fills the rows it points to.
    pub(super) steps: Vec<Step>,
}

impl Layout {
    /// Takes rows for all of `changed`, or for none.
    pub(super) fn prepare(
        &mut self,
        changed: Vec<(ServiceKey, Arc<Route>)>,
        generation: u32,
    ) -> Result<Vec<Prepared>, PlanError> {
        let mut prepared = Vec::with_capacity(changed.len());
        for (key, route) in changed {
            match self.prepare_one(key, route, generation) {
                Ok(new) => prepared.push(new),
                Err(error) => {
                    prepared.into_iter().for_each(|new| self.undo(&new));
                    return Err(error);
                }
            }
        }
        Ok(prepared)
    }

    fn prepare_one(
        &mut self,
        key: ServiceKey,
        route: Arc<Route>,
        generation: u32,
    ) -> Result<Prepared, PlanError> {
        let scale = scale_of(&route)?;
        let taken = self.take(key, &route)?;
        let mut steps = taken.steps;
        let mut destinations = [DestinationRow::default(); DESTINATIONS_MAX];
        for (index, found) in route.destinations.iter().enumerate() {
            let pool = self.hold_pool(&found.endpoints, taken.pools[index], &mut steps);
            destinations[index] = DestinationRow {
                first: pool.first,
                count: pool.count,
                weight: weight(found, &route) / scale.divisor,
                subset: self.tables.destinations.hold(&found.name),
            };
        }
        let row = RouteRow {
            key,
            service: self.tables.services.hold(&route.service),
            split: taken.split,
            flags: flags(&route),
            total: scale.total,
            stride: scale.stride,
            counters: taken.counters.0,
            destination_count: u32::try_from(route.destinations.len()).unwrap_or(u32::MAX),
            affinity_secs: route.affinity_secs,
            generation,
            rule: self.tables.rules.hold(&route.rule),
            destinations,
        };
        let members = members(&route, &row);
        let (split, counters) = (taken.split, taken.counters);
        let placed = Placed {
            row: taken.row,
            split,
            counters,
            route,
            members,
            unnamed: Vec::new(),
        };
        Ok(Prepared {
            key,
            placed,
            row,
            steps,
        })
    }

    /// Takes every row that the route needs, or none.
    fn take(&mut self, key: ServiceKey, route: &Route) -> Result<Taken, PlanError> {
        let count = u32::try_from(route.destinations.len()).unwrap_or(u32::MAX);
        let mut steps = Vec::new();
        let old = self.placed.get(&key);
        let kept_split = old.map(|old| old.split);
        let kept_counters = old
            .filter(|old| same_weighting(&old.route, route))
            .map(|old| old.counters);
        let row = self.rows.take().ok_or_else(|| self.full("ROUTES"))?;
        let Some(split) = kept_split.or_else(|| self.splits.take()) else {
            self.rows.free(row);
            return Err(self.full("TICKETS"));
        };
        let Some(counters) =
            kept_counters.or_else(|| self.counters.take(count).map(|first| (first, count)))
        else {
            self.give_back(row, kept_split.is_none().then_some(split), None, &[]);
            return Err(self.full("COUNTERS"));
        };
        let mut pools: Vec<Option<u32>> = Vec::with_capacity(route.destinations.len());
        let mut fresh: Vec<Arc<[Endpoint]>> = Vec::new();
        for found in &route.destinations {
            // The same range may serve several destinations of this very route.
            if self.pools.contains_key(&found.endpoints) || fresh.contains(&found.endpoints) {
                pools.push(None);
                continue;
            }
            let needed = u32::try_from(found.endpoints.len()).unwrap_or(u32::MAX);
            let Some(first) = self.endpoints.take(needed) else {
                let taken: Vec<_> = fresh.iter().zip(pools.iter().flatten()).collect();
                for (endpoints, &first) in taken {
                    self.endpoints
                        .free(first, u32::try_from(endpoints.len()).unwrap_or(0));
                }
                let own_counters = kept_counters.is_none().then_some(counters);
                self.give_back(
                    row,
                    kept_split.is_none().then_some(split),
                    own_counters,
                    &[],
                );
                return Err(self.full("ENDPOINTS"));
            };
            pools.push(Some(first));
            fresh.push(Arc::clone(&found.endpoints));
        }
        if kept_split.is_none() {
            steps.push(Step::StartTickets { split });
        }
        if kept_counters.is_none() && count > 0 {
            steps.push(Step::StartCounters {
                first: counters.0,
                count,
            });
        }
        Ok(Taken {
            row,
            split,
            counters,
            pools,
            steps,
        })
    }

    /// Rows were replaced lately: they will be free. Otherwise the map is full.
    fn full(&self, map: &'static str) -> PlanError {
        if self.waiting() > 0 {
            return PlanError::Busy { map };
        }
        let capacity = match map {
            "ENDPOINTS" => self.capacity.endpoints,
            "COUNTERS" => self.capacity.counters,
            _ => self.capacity.rows,
        };
        PlanError::Full {
            map,
            capacity,
            needed: u64::from(capacity) + 1,
        }
    }

    fn hold_pool(
        &mut self,
        endpoints: &Arc<[Endpoint]>,
        fresh: Option<u32>,
        steps: &mut Vec<Step>,
    ) -> Pool {
        if let Some(pool) = self.pools.get_mut(endpoints) {
            pool.uses += 1;
            return *pool;
        }
        let first = fresh.unwrap_or_default();
        let count = u32::try_from(endpoints.len()).unwrap_or_default();
        let pool = Pool {
            first,
            count,
            uses: 1,
        };
        let rows = self.tables.hold_workloads(endpoints);
        if count > 0 {
            steps.push(Step::Endpoints { first, rows });
        }
        self.pools.insert(Arc::clone(endpoints), pool);
        pool
    }

    fn undo(&mut self, new: &Prepared) {
        let old = self.placed.get(&new.key);
        let own_split = old.is_none_or(|old| old.split != new.placed.split);
        let own_counters = old.is_none_or(|old| old.counters != new.placed.counters);
        self.tables.release_route(&new.placed.route);
        let ranges: Vec<(u32, u32)> = new
            .placed
            .route
            .destinations
            .iter()
            .filter_map(|found| self.release_pool(&found.endpoints))
            .collect();
        self.give_back(
            new.placed.row,
            own_split.then_some(new.placed.split),
            own_counters.then_some(new.placed.counters),
            &ranges,
        );
    }

    fn give_back(
        &mut self,
        row: u32,
        split: Option<SplitId>,
        counters: Option<(u32, u32)>,
        endpoints: &[(u32, u32)],
    ) {
        self.rows.free(row);
        if let Some(split) = split {
            self.splits.free(split);
        }
        if let Some((first, count)) = counters {
            self.counters.free(first, count);
        }
        for &(first, count) in endpoints {
            self.endpoints.free(first, count);
        }
    }
}

/// The rows of one route.
struct Taken {
    row: u32,
    split: SplitId,
    counters: (u32, u32),
    /// The start of each destination's range; `None` if the range exists already.
    pools: Vec<Option<u32>>,
    steps: Vec<Step>,
}

/// Istio: a single destination takes everything, whatever its weight says.
pub(super) fn weight(found: &Destination, route: &Route) -> u32 {
    if route.destinations.len() == 1 {
        1
    } else {
        found.name.weight
    }
}

/// How the weights of a route are drawn.
pub(super) fn scale_of(route: &Route) -> Result<Scale, PlanError> {
    let destinations = route.destinations.iter();
    let weights: Vec<u32> = destinations.map(|found| found.name.weight).collect();
    scale(route, &weights)
}

fn scale(route: &Route, weights: &[u32]) -> Result<Scale, PlanError> {
    let single = [1];
    let weights = if weights.len() == 1 {
        &single[..]
    } else {
        weights
    };
    weights::scale(weights).map_err(|WeightError::SumTooLarge { sum }| PlanError::Weights {
        service: route.service.host.clone(),
        sum,
    })
}

/// Whether the counts go on: the promise of the split is about one weighting.
fn same_weighting(old: &Route, new: &Route) -> bool {
    old.rule == new.rule
        && old.destinations.len() == new.destinations.len()
        && old
            .destinations
            .iter()
            .zip(&new.destinations)
            .all(|(old, new)| old.name == new.name)
}

pub(super) fn flags(route: &Route) -> u32 {
    let mut flags = RouteRow::depth_bits(route.depth);
    if route.varies {
        flags |= ROUTE_VARIES;
    }
    if route.hidden {
        flags |= ROUTE_HIDDEN;
    }
    if route.affinity_secs > 0 {
        flags |= ROUTE_AFFINITY;
    }
    if route.auto {
        flags |= ROUTE_AUTO;
    }
    flags
}

/// Which endpoints a client with affinity may keep: those of destinations that weigh something.
fn members(route: &Route, row: &RouteRow) -> BTreeMap<MemberKey, Member> {
    let mut members = BTreeMap::new();
    if route.affinity_secs == 0 {
        return members;
    }
    for (destination, (found, placed)) in (0..).zip(route.destinations.iter().zip(row.destinations))
    {
        if placed.weight == 0 {
            continue;
        }
        for (endpoint, index) in found.endpoints.iter().zip(placed.first..) {
            let peer = Peer::new(endpoint.ip.into(), steer_common::Port::new(endpoint.port));
            let key = MemberKey {
                split: row.split,
                endpoint: peer,
            };
            members.entry(key).or_insert(Member {
                endpoint: index,
                destination,
            });
        }
    }
    members
}
