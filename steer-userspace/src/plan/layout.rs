//! The layout: what is where in the kernel's maps.

use std::{collections::BTreeMap, sync::Arc};

use steer_common::{
    flow::{Member, MemberKey},
    limits,
    service::{CLASS_ANYONE, CLASS_OUTSIDE, RowId, ServiceKey, Source as SourceRow, SplitId},
};

use super::{
    allocate::{Ranges, Slots},
    egress::EgressRows,
    judged::Judged,
    names::Names,
    step::{Plan, PlanError, Step},
};
use crate::{
    desired::model::Endpoint,
    image::{Image, Route, Source, canary},
};

mod adopt;
mod capacity;
mod compare;
mod egress;
mod moves;
mod prepare;
mod rounds;
mod sources;
mod stages;
mod tables;

pub use capacity::Capacity;
pub use compare::Differences;
use egress::EgressLayout;
use prepare::Prepared;
use stages::Stages;
use tables::Tables;

/// What an image says of services.
type Routes = BTreeMap<ServiceKey, Arc<Route>>;

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

/// What is where. It changes only by planning and by `reclaim`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    capacity: Capacity,
    generation: u32,
    placed: BTreeMap<ServiceKey, Placed>,
    sources: BTreeMap<u64, (Source, SourceRow)>,
    egress: EgressLayout,
    pools: BTreeMap<Arc<[Endpoint]>, Pool>,
    tables: Tables,
    rows: Slots,
    splits: Slots,
    counters: Ranges,
    endpoints: Ranges,
    retired: Retired,
    /// An agent died while it applied something: even if nothing is left to do, that is noted.
    unfinished: bool,
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
            egress: EgressLayout::default(),
            pools: BTreeMap::new(),
            tables: Tables::default(),
            rows: Slots::new(capacity.rows),
            splits: Slots::new(capacity.rows),
            counters: Ranges::new(limits::REASON_COUNTERS, capacity.counters),
            endpoints: Ranges::new(0, capacity.endpoints),
            retired: Retired::default(),
            unfinished: false,
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
        let (policies, hosts) = self.egress.names();
        Names {
            policies,
            hosts,
            services: self.tables.services.table(),
            rules: self.tables.rules.table(),
            destinations: self.tables.destinations.table(),
            workloads: self.tables.workloads.table(),
        }
    }

    /// The rows of the egress guard.
    pub fn egress(&self) -> &EgressRows {
        self.egress.rows()
    }

    /// The name of an egress policy; empty if its number was never given.
    pub fn policy_name(&self, id: steer_common::egress::PolicyId) -> String {
        self.egress.policy_name(id)
    }

    /// The egress policy of a pod, by the cookie of its namespace.
    pub fn policy_of(&self, cookie: u64) -> steer_common::egress::PolicyId {
        let row = self.sources.get(&cookie).map(|(_, row)| row);
        row.and_then(|row| row.policy.of(cookie))
            .unwrap_or_default()
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
        self.lead(&image.routes, Some(image))
    }

    /// Plans the way to `routes`, and to everything else in an image if there is one.
    fn lead(&mut self, routes: &Routes, others: Option<&Image>) -> Result<Plan, PlanError> {
        self.check_routes(routes)?;
        let (changed, gone) = self.compare(routes);
        let judging = self.judging();
        let generation = self.generation + 1;
        let prepared = self.prepare(changed, generation)?;
        let mut steps = Stages {
            mend: self.mend(),
            ..Stages::default()
        };
        let (unread, read): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|key| !self.is_read(*key));
        for key in unread {
            self.remove(key, &mut steps);
            steps.unread.append(&mut steps.unpublish);
        }
        self.commit(prepared, &mut steps);
        read.into_iter()
            .for_each(|key| self.remove(key, &mut steps));
        if let Some(image) = others {
            let moves = self.plan_sources(image, &mut steps);
            self.plan_egress(image, moves, &mut steps);
        }
        let mut names = self.tables.fresh();
        names.extend(self.egress.fresh());
        let steps = steps.in_order();
        let unfinished = std::mem::take(&mut self.unfinished);
        let steps = if steps.is_empty() && !unfinished {
            steps
        } else {
            bracketed(steps, generation)
        };
        let plan = Plan {
            generation,
            judged: Judged::compare(&judging, &self.judging(), &steps),
            steps,
            names,
        };
        if !plan.is_empty() {
            self.generation = generation;
        }
        Ok(plan)
    }

    /// Whether readers are led to a row: those of a class only by the row of class 0, but for clients
    /// outside.
    fn is_read(&self, key: ServiceKey) -> bool {
        let class = CLASS_ANYONE;
        let anyone = self.placed.get(&ServiceKey { class, ..key });
        [CLASS_ANYONE, CLASS_OUTSIDE].contains(&key.class)
            || anyone.is_some_and(|anyone| anyone.route.varies)
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
    fn compare(&self, routes: &Routes) -> (Vec<(ServiceKey, Arc<Route>)>, Vec<ServiceKey>) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        let mut placed = self.placed.iter().peekable();
        for (&key, route) in routes {
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
        self.check_routes(&image.routes)?;
        fits("SOURCES", image.sources.len(), self.capacity.sources)?;
        Self::check_egress(image)
    }

    fn check_routes(&self, routes: &Routes) -> Result<(), PlanError> {
        let anyone = routes
            .keys()
            .take_while(|key| key.class == CLASS_ANYONE)
            // The agent's own is not one of those that people count.
            .filter(|key| **key != canary::key())
            .count();
        let destinations = routes.values().map(|route| route.destinations.len()).max();
        let most = u32::try_from(limits::DESTINATIONS_MAX).unwrap_or(u32::MAX);
        fits("a row of ROUTES", destinations.unwrap_or_default(), most)?;
        fits("SERVICES", anyone, self.capacity.services)?;
        fits("SERVICES", routes.len(), self.capacity.keys)
    }

    /// Puts prepared routes in force; what they replace is retired.
    fn commit(&mut self, prepared: Vec<Prepared>, steps: &mut Stages) {
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

    fn remove(&mut self, key: ServiceKey, steps: &mut Stages) {
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
}

/// Steps between the notes that they begin and that they are done.
fn bracketed(steps: Vec<Step>, generation: u32) -> Vec<Step> {
    let mut all = Vec::with_capacity(steps.len() + 2);
    all.push(Step::Begin { generation });
    all.extend(steps);
    all.push(Step::Finish { generation });
    all
}

/// Whether a map of `capacity` rows holds `needed` ones.
fn fits(map: &'static str, needed: usize, capacity: u32) -> Result<(), PlanError> {
    if needed <= capacity as usize {
        return Ok(());
    }
    Err(PlanError::Full {
        map,
        capacity,
        needed: needed as u64,
    })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod safety;
