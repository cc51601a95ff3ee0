//! The layout: what is where in the kernel's maps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steer_common::{
    endpoint::Endpoint as EndpointRow,
    flow::{Member, MemberKey},
    limits,
    service::{CLASS_ANYONE, RowId, ServiceKey, Source as SourceRow, SplitId},
};

use super::{
    allocate::{Ranges, Slots},
    names::{Name, Names, Numbers},
    step::{Plan, PlanError, Step},
};
use crate::{
    desired::model::{Endpoint, PodRef, Rule},
    image::{DestinationName, Image, Route, ServiceName, Source},
};

mod adopt;
mod prepare;

use prepare::Prepared;

/// How many rows each map holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Keys of SERVICES for class 0: addresses times ports of all services.
    pub services: u32,
    /// Keys of SERVICES; its buckets follow from them.
    pub keys: u32,
    /// Rows of ROUTES and of TICKETS.
    pub rows: u32,
    /// Rows of ENDPOINTS.
    pub endpoints: u32,
    /// Rows of COUNTERS.
    pub counters: u32,
    /// Rows of SOURCES.
    pub sources: u32,
}

impl Capacity {
    /// The sizes that go with a number of services.
    pub const fn for_services(services: u32) -> Self {
        let keys = services + services / limits::CLASS_ROWS_PER_SERVICE_INVERSE + 1;
        let counters = services * limits::COUNTERS_PER_SERVICE + limits::REASON_COUNTERS;
        Self {
            services,
            keys,
            rows: with_spare(keys),
            endpoints: with_spare(services * limits::ENDPOINTS_PER_SERVICE),
            counters: with_spare(counters),
            sources: limits::SOURCES_MAX,
        }
    }

    /// The sizes of which the table of routes has `rows` rows.
    pub fn of_rows(rows: u32) -> Self {
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if Self::for_services(middle).rows < rows {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Self::for_services(low)
    }
}

const fn with_spare(rows: u32) -> u32 {
    rows + rows / limits::SPARE_INVERSE + 16
}

/// Where one route is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Its row of ROUTES.
    pub row: RowId,
    /// Its row of TICKETS.
    pub split: SplitId,
    /// Its rows of COUNTERS: first and count.
    pub counters: (u32, u32),
    /// What it says.
    pub route: Arc<Route>,
    /// Its rows of MEMBERS.
    pub members: BTreeMap<MemberKey, Member>,
    /// Its rows of ENDPOINTS, first and count, if an earlier agent left it and it cannot be named.
    pub unnamed: Vec<(u32, u32)>,
}

/// A range of ENDPOINTS that one or more destinations use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pool {
    first: u32,
    count: u32,
    uses: u32,
}

/// Rows that were replaced and may still be read until a grace period has passed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Retired {
    rows: Vec<RowId>,
    splits: Vec<SplitId>,
    counters: Vec<(u32, u32)>,
    endpoints: Vec<(u32, u32)>,
}

/// Numbers of all names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Tables {
    services: Numbers<ServiceName>,
    rules: Numbers<Rule>,
    destinations: Numbers<DestinationName>,
    workloads: Numbers<PodRef>,
}

/// What is where. It changes only by planning and by `reclaim`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    capacity: Capacity,
    generation: u32,
    placed: BTreeMap<ServiceKey, Placed>,
    sources: BTreeMap<u64, (Source, SourceRow)>,
    pools: BTreeMap<Arc<[Endpoint]>, Pool>,
    tables: Tables,
    rows: Slots,
    splits: Slots,
    counters: Ranges,
    endpoints: Ranges,
    retired: Retired,
    /// MEMBERS that an agent left otherwise when it died half-way: as they should be.
    mends: BTreeMap<MemberKey, Option<Member>>,
}

impl Layout {
    /// Nothing is live.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            generation: 0,
            placed: BTreeMap::new(),
            sources: BTreeMap::new(),
            pools: BTreeMap::new(),
            tables: Tables::default(),
            rows: Slots::new(capacity.rows),
            splits: Slots::new(capacity.rows),
            counters: Ranges::new(limits::REASON_COUNTERS, capacity.counters),
            endpoints: Ranges::new(0, capacity.endpoints),
            retired: Retired::default(),
            mends: BTreeMap::new(),
        }
    }

    /// The generation in force.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The routes, where they are.
    pub fn placed(&self) -> &BTreeMap<ServiceKey, Placed> {
        &self.placed
    }

    /// What the numbers in the rows mean.
    pub fn names(&self) -> Names {
        Names {
            services: self.tables.services.table(),
            rules: self.tables.rules.table(),
            destinations: self.tables.destinations.table(),
            workloads: self.tables.workloads.table(),
        }
    }

    /// How many rows wait for a grace period.
    pub fn waiting(&self) -> usize {
        self.retired.rows.len() + self.retired.endpoints.len()
    }

    /// A grace period has passed since the last plan was applied: replaced rows are free.
    pub fn reclaim(&mut self) {
        let retired = std::mem::take(&mut self.retired);
        retired.rows.into_iter().for_each(|row| self.rows.free(row));
        retired
            .splits
            .into_iter()
            .for_each(|split| self.splits.free(split));
        for (first, count) in retired.counters {
            self.counters.free(first, count);
        }
        for (first, count) in retired.endpoints {
            self.endpoints.free(first, count);
        }
    }

    /// Plans the way to `image`. On an error the layout is as it was.
    pub fn plan(&mut self, image: &Image) -> Result<Plan, PlanError> {
        self.check_capacity(image)?;
        let (changed, gone) = self.compare(image);
        let generation = self.generation + 1;
        let prepared = self.prepare(changed, generation)?;
        let mut steps = Steps {
            mend: self.mend(),
            ..Steps::default()
        };
        self.commit(prepared, &mut steps);
        gone.into_iter()
            .for_each(|key| self.remove(key, &mut steps));
        self.plan_sources(image, &mut steps);
        let plan = Plan {
            generation,
            steps: steps.in_order(),
            names: self.tables.fresh(),
        };
        if !plan.is_empty() {
            self.generation = generation;
        }
        Ok(plan)
    }

    /// Before all else: a split that has none may be given to another route.
    fn mend(&mut self) -> Vec<Step> {
        let mends = std::mem::take(&mut self.mends).into_iter();
        mends
            .map(|(key, member)| match member {
                Some(member) => Step::AddMember { key, member },
                None => Step::RemoveMember { key },
            })
            .collect()
    }

    /// Routes that are new or differ, and keys that are no more: both sides are walked in order.
    fn compare(&self, image: &Image) -> (Vec<(ServiceKey, Arc<Route>)>, Vec<ServiceKey>) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        let mut placed = self.placed.iter().peekable();
        for (&key, route) in &image.routes {
            while let Some((&old, _)) = placed.next_if(|(old, _)| **old < key) {
                gone.push(old);
            }
            match placed.next_if(|(old, _)| **old == key) {
                Some((_, old)) if old.route == *route => {}
                Some(_) | None => changed.push((key, Arc::clone(route))),
            }
        }
        gone.extend(placed.map(|(&old, _)| old));
        (changed, gone)
    }

    fn check_capacity(&self, image: &Image) -> Result<(), PlanError> {
        let anyone = image
            .routes
            .keys()
            .take_while(|key| key.class == CLASS_ANYONE)
            .count();
        let fits = |map, needed: usize, capacity: u32| {
            if needed <= capacity as usize {
                return Ok(());
            }
            Err(PlanError::Full {
                map,
                capacity,
                needed: needed as u64,
            })
        };
        let destinations = image
            .routes
            .values()
            .map(|route| route.destinations.len())
            .max();
        let most = u32::try_from(limits::DESTINATIONS_MAX).unwrap_or(u32::MAX);
        fits("a row of ROUTES", destinations.unwrap_or_default(), most)?;
        fits("SERVICES", anyone, self.capacity.services)?;
        fits("SERVICES", image.routes.len(), self.capacity.keys)?;
        fits("SOURCES", image.sources.len(), self.capacity.sources)
    }

    /// Puts prepared routes in force; what they replace is retired.
    fn commit(&mut self, prepared: Vec<Prepared>, steps: &mut Steps) {
        for new in prepared {
            let Prepared {
                key,
                placed,
                row,
                steps: fills,
            } = new;
            steps.fill.extend(fills);
            steps.fill.push(Step::Route {
                row: placed.row,
                route: Box::new(row),
            });
            let old = self.placed.get(&key);
            let known = old.map(|old| &old.members);
            for (&member_key, &member) in &placed.members {
                if known.is_none_or(|known| known.get(&member_key) != Some(&member)) {
                    steps.fill.push(Step::AddMember {
                        key: member_key,
                        member,
                    });
                }
            }
            for &member_key in known.into_iter().flat_map(BTreeMap::keys) {
                if !placed.members.contains_key(&member_key) {
                    steps.clear.push(Step::RemoveMember { key: member_key });
                }
            }
            steps
                .publish
                .push((key, placed.row, old.map(|old| old.row)));
            let (split, counters) = (placed.split, placed.counters);
            if let Some(old) = self.placed.insert(key, placed) {
                self.retire(&old, old.split != split, old.counters != counters);
            }
        }
    }

    fn remove(&mut self, key: ServiceKey, steps: &mut Steps) {
        if let Some(old) = self.placed.remove(&key) {
            let members = old.members.keys().map(|&key| Step::RemoveMember { key });
            steps.clear.extend(members);
            steps.unpublish.insert((key, old.row));
            self.retire(&old, true, true);
        }
    }

    fn retire(&mut self, old: &Placed, split: bool, counters: bool) {
        self.retired.rows.push(old.row);
        if split {
            self.retired.splits.push(old.split);
        }
        if counters {
            self.retired.counters.push(old.counters);
        }
        self.tables.release_route(&old.route);
        self.retired.endpoints.extend(&old.unnamed);
        for destination in &old.route.destinations {
            if let Some(range) = self.release_pool(&destination.endpoints) {
                self.retired.endpoints.push(range);
            }
        }
    }

    /// One use of a range less; returns it when that was the last.
    fn release_pool(&mut self, endpoints: &Arc<[Endpoint]>) -> Option<(u32, u32)> {
        let pool = self.pools.get_mut(endpoints)?;
        pool.uses -= 1;
        if pool.uses > 0 {
            return None;
        }
        let range = (pool.first, pool.count);
        self.pools.remove(endpoints);
        self.tables.release_workloads(endpoints);
        Some(range)
    }

    fn plan_sources(&mut self, image: &Image, steps: &mut Steps) {
        let gone: Vec<u64> = self
            .sources
            .keys()
            .filter(|cookie| !image.sources.contains_key(cookie))
            .copied()
            .collect();
        for cookie in gone {
            if let Some((old, _)) = self.sources.remove(&cookie) {
                self.tables.workloads.release(&old.pod);
                steps.clear.push(Step::RemoveSource { cookie });
            }
        }
        for (&cookie, source) in &image.sources {
            if self
                .sources
                .get(&cookie)
                .is_some_and(|(old, _)| old == source)
            {
                continue;
            }
            let workload = self.tables.workloads.hold(&Arc::new(source.pod.clone()));
            let row = SourceRow {
                class: source.class,
                policy: 0,
                workload,
            };
            if let Some((old, _)) = self.sources.insert(cookie, (source.clone(), row)) {
                self.tables.workloads.release(&old.pod);
            }
            steps.sources.push(Step::SetSource {
                cookie,
                source: row,
            });
        }
    }
}

impl Tables {
    /// Names that were given numbers since this was last asked.
    fn fresh(&mut self) -> Vec<(u32, Name)> {
        let services = self.services.take_fresh().into_iter();
        let rules = self.rules.take_fresh().into_iter();
        let destinations = self.destinations.take_fresh().into_iter();
        let workloads = self.workloads.take_fresh().into_iter();
        services
            .map(|(number, name)| (number, Name::Service(name)))
            .chain(rules.map(|(number, name)| (number, Name::Rule(name))))
            .chain(destinations.map(|(number, name)| (number, Name::Destination(name))))
            .chain(workloads.map(|(number, name)| (number, Name::Workload(name))))
            .collect()
    }

    fn release_route(&mut self, route: &Route) {
        self.services.release(&route.service);
        self.rules.release(&route.rule);
        route
            .destinations
            .iter()
            .for_each(|found| self.destinations.release(&found.name));
    }

    fn hold_workloads(&mut self, endpoints: &[Endpoint]) -> Vec<EndpointRow> {
        endpoints
            .iter()
            .map(|endpoint| EndpointRow {
                addr: endpoint.ip.into(),
                port: steer_common::Port::new(endpoint.port),
                flags: 0,
                workload: endpoint
                    .pod
                    .as_ref()
                    .map_or(0, |pod| self.workloads.hold(&Arc::new(pod.clone()))),
            })
            .collect()
    }

    fn release_workloads(&mut self, endpoints: &[Endpoint]) {
        for pod in endpoints
            .iter()
            .filter_map(|endpoint| endpoint.pod.as_ref())
        {
            self.workloads.release(pod);
        }
    }
}

/// Steps by the stage they belong to.
///
/// Rows of a class come into force before the row of class 0 that sends readers to them, and go
/// after it; a namespace joins its class when the rows of that class are there.
#[derive(Default)]
struct Steps {
    mend: Vec<Step>,
    fill: Vec<Step>,
    publish: Vec<(ServiceKey, RowId, Option<RowId>)>,
    sources: Vec<Step>,
    unpublish: BTreeSet<(ServiceKey, RowId)>,
    clear: Vec<Step>,
}

impl Steps {
    fn in_order(self) -> Vec<Step> {
        let publish = |&(key, row, replaces): &_| Step::Publish { key, row, replaces };
        let (anyone, classes): (Vec<_>, Vec<_>) = self
            .publish
            .iter()
            .partition(|(key, ..)| key.class == CLASS_ANYONE);
        let mut steps = self.mend;
        steps.extend(self.fill);
        steps.extend(classes.iter().map(publish));
        steps.extend(self.sources);
        steps.extend(anyone.iter().map(publish));
        steps.extend(
            self.unpublish
                .into_iter()
                .map(|(key, row)| Step::Unpublish { key, row }),
        );
        steps.extend(self.clear);
        steps
    }
}

#[cfg(test)]
mod tests;
