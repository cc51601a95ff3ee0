//! A change of more rows than are free, in several rounds: what a round replaces is free for the
//! next after a grace period. Each service changes as a whole, in one of them.

use std::{collections::BTreeMap, sync::Arc};

use steer_common::{
    addr::{Addr, Port},
    limits,
    service::ServiceKey,
};

use super::{Layout, Routes, fits};
use crate::{
    desired::model::Endpoint,
    image::Image,
    plan::step::{Plan, PlanError},
};

/// What is dialled: the rows of all classes for it change together.
type Dialled = (Addr, Port, u8);

impl Layout {
    /// Plans as much of the way to `image` as there are free rows for, when there are not enough for
    /// all of it and none wait for a grace period. Clients, and what they may reach, are left to the
    /// plan that does the rest.
    pub fn plan_part(&mut self, image: &Image) -> Result<Plan, PlanError> {
        self.check_capacity(image)?;
        self.check_ranges(image)?;
        let groups = self.groups(image);
        let mut part = groups.len().min(self.rows.available() as usize);
        loop {
            let towards = self.part_way(image, &groups[..part]);
            match self.lead(&towards, None) {
                Err(PlanError::Full { .. }) if part > 1 => part /= 2,
                other => return other,
            }
        }
    }

    /// Whether the ranges of `image` fit when nothing else is in the maps.
    fn check_ranges(&self, image: &Image) -> Result<(), PlanError> {
        let mut pools: BTreeMap<&Arc<[Endpoint]>, usize> = BTreeMap::new();
        let mut counters = limits::REASON_COUNTERS as usize;
        for route in image.routes.values() {
            counters += route.destinations.len();
            let endpoints = route.destinations.iter().map(|found| &found.endpoints);
            pools.extend(endpoints.map(|found| (found, found.len())));
        }
        fits("COUNTERS", counters, self.capacity.counters)?;
        fits("ENDPOINTS", pools.values().sum(), self.capacity.endpoints)
    }

    /// The routes in force, with `groups` as they are in `wanted`.
    fn part_way(&self, wanted: &Image, groups: &[Vec<ServiceKey>]) -> Routes {
        let placed = self.placed.iter();
        let mut routes: Routes = placed
            .map(|(&key, placed)| (key, Arc::clone(&placed.route)))
            .collect();
        for key in groups.iter().flatten() {
            match wanted.routes.get(key) {
                Some(route) => routes.insert(*key, Arc::clone(route)),
                None => routes.remove(key),
            };
        }
        routes
    }

    /// The keys that change, by what is dialled; first what takes fewer rows than before, so that
    /// on the way there are never more in use than at either end.
    fn groups(&self, wanted: &Image) -> Vec<Vec<ServiceKey>> {
        let (changed, gone) = self.compare(&wanted.routes);
        let mut groups: BTreeMap<Dialled, (i64, Vec<ServiceKey>)> = BTreeMap::new();
        let mut add = |key: ServiceKey, growth: i64| {
            let group = groups.entry((key.addr, key.port, key.proto)).or_default();
            group.0 += growth;
            group.1.push(key);
        };
        gone.into_iter().for_each(|key| add(key, -1));
        for (key, _) in changed {
            add(key, i64::from(!self.placed.contains_key(&key)));
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|(growth, _)| *growth);
        groups.into_iter().map(|(_, keys)| keys).collect()
    }
}
