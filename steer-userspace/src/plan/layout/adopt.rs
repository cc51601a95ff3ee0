//! The layout that an earlier agent left in the maps, so that its rows stay in force.
//!
//! A row whose names are not known is kept in force and replaced by the first plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steer_common::{
    Addr,
    flow::{Member, MemberKey},
    service::{
        Destination as DestinationRow, ROUTE_AFFINITY, ROUTE_AUTO, ROUTE_HIDDEN, ROUTE_VARIES,
        Route as RouteRow, ServiceKey,
    },
};

use super::{Capacity, EgressLayout, Layout, Placed, Pool};
use crate::{
    desired::model::{Endpoint, PodRef, Rule},
    image::{Destination, Route, ServiceName, Source},
    live::Live,
    plan::Names,
};

impl Layout {
    /// Takes over what is live.
    pub fn adopt(capacity: Capacity, live: &Live, names: &Names) -> Self {
        Self::adopt_but(capacity, live, names, &BTreeSet::new())
    }

    /// The same, but that rows of some services are not what their names say: the first plan replaces
    /// them.
    pub fn adopt_but(
        capacity: Capacity,
        live: &Live,
        names: &Names,
        distrusted: &BTreeSet<ServiceKey>,
    ) -> Self {
        let mut layout = Self::new(capacity);
        // Numbers are not given twice, not even to what was not finished.
        layout.generation = live.generation.max(live.applying);
        layout.unfinished = live.applying != 0;
        let mut unnamed = Vec::new();
        for (&key, &row) in &live.services {
            let Some(found) = live.routes.get(&row) else {
                continue;
            };
            layout.generation = layout.generation.max(found.generation);
            let known = (!distrusted.contains(&key)).then(|| layout.known(found, live, names));
            match known.flatten() {
                Some(route) => layout.adopt_route(key, row, found, live, route, Vec::new()),
                None => unnamed.push((key, row, found)),
            }
        }
        // Afterwards: endpoints that a route with names uses as well are that one's.
        for (key, row, found) in unnamed {
            let ranges = found.destinations().iter();
            let ranges = ranges.map(|found| (found.first, found.count));
            let own = ranges.filter(|&(first, count)| layout.endpoints.take_at(first, count));
            let own = own.collect();
            layout.pass_numbers(found, live);
            layout.adopt_route(key, row, found, live, unknown(found), own);
        }
        layout.egress = EgressLayout::adopt(live.egress.clone(), names);
        for (&cookie, &found) in &live.sources {
            // Who cannot be named is nobody's pod: it goes, or is told anew, with the first plan.
            let owner = names.workloads.get(&found.workload);
            let owner = owner.filter(|pod| layout.tables.workloads.adopt(found.workload, pod));
            if owner.is_none() {
                layout.tables.workloads.pass(found.workload);
            }
            let source = Source {
                class: found.class.number(),
                interface: found.interface,
                addresses: found.addrs.iter().map(Addr::to_ip).collect(),
                policy: layout.egress.policy_name(found.policy.number()),
                pod: owner.map_or_else(nobody, |pod| (**pod).clone()),
            };
            layout.sources.insert(cookie, (source, found));
        }
        layout.mends = layout.mends(live);
        layout
    }

    /// What MEMBERS should hold, where it holds something else.
    fn mends(&self, live: &Live) -> BTreeMap<MemberKey, Option<Member>> {
        let wanted = self.placed.values().flat_map(|placed| &placed.members);
        let wanted: BTreeMap<MemberKey, Member> =
            wanted.map(|(&key, &member)| (key, member)).collect();
        let stray = live.members.keys().filter(|key| !wanted.contains_key(key));
        let mut mends: BTreeMap<MemberKey, Option<Member>> =
            stray.map(|&key| (key, None)).collect();
        let differs = |(key, member): &(MemberKey, Member)| live.members.get(key) != Some(member);
        let wrong = wanted.into_iter().filter(differs);
        mends.extend(wrong.map(|(key, member)| (key, Some(member))));
        mends
    }

    fn adopt_route(
        &mut self,
        key: ServiceKey,
        row: u32,
        found: &RouteRow,
        live: &Live,
        route: Route,
        unnamed: Vec<(u32, u32)>,
    ) {
        self.rows.take_at(row);
        self.splits.take_at(found.split);
        let count = found.destination_count;
        let counters = if self.counters.take_at(found.counters, count) {
            (found.counters, count)
        } else {
            (0, 0)
        };
        let members = members(found, live);
        let route = Arc::new(route);
        self.placed.insert(
            key,
            Placed {
                row,
                split: found.split,
                counters,
                route,
                members,
                unnamed,
            },
        );
    }

    /// The numbers in a row whose names are not known name nothing else while it is in force.
    fn pass_numbers(&mut self, found: &RouteRow, live: &Live) {
        self.tables.services.pass(found.service);
        self.tables.rules.pass(found.rule);
        for row in found.destinations() {
            self.tables.destinations.pass(row.subset);
            let all = row.first..row.first.saturating_add(row.count);
            for endpoint in all.filter_map(|index| live.endpoints.get(&index)) {
                self.tables.workloads.pass(endpoint.workload);
            }
        }
    }

    /// What the row says, by name; `None` if a name or an endpoint is not known.
    fn known(&mut self, found: &RouteRow, live: &Live, names: &Names) -> Option<Route> {
        let service = names.services.get(&found.service)?;
        let rule = names.rules.get(&found.rule)?;
        let mut destinations = Vec::new();
        for row in found.destinations() {
            let name = names.destinations.get(&row.subset)?;
            let endpoints = endpoints(row, live, names)?;
            destinations.push((
                row,
                Destination {
                    name: Arc::clone(name),
                    endpoints,
                },
            ));
        }
        let fits = destinations
            .iter()
            .all(|(row, found)| match self.pools.get(&found.endpoints) {
                Some(pool) => (pool.first, pool.count) == (row.first, row.count),
                None => true,
            });
        if !fits {
            return None;
        }
        self.tables.services.adopt(found.service, service);
        self.tables.rules.adopt(found.rule, rule);
        for (row, found) in &destinations {
            self.tables.destinations.adopt(row.subset, &found.name);
            self.adopt_pool(row, &found.endpoints, live, names);
        }
        Some(Route {
            service: Arc::clone(service),
            rule: Arc::clone(rule),
            hidden: found.has(ROUTE_HIDDEN),
            varies: found.has(ROUTE_VARIES),
            depth: found.depth(),
            auto: found.has(ROUTE_AUTO),
            affinity_secs: found.affinity_secs,
            destinations: destinations.into_iter().map(|(_, found)| found).collect(),
        })
    }

    fn adopt_pool(
        &mut self,
        row: &DestinationRow,
        endpoints: &Arc<[Endpoint]>,
        live: &Live,
        names: &Names,
    ) {
        if let Some(pool) = self.pools.get_mut(endpoints) {
            pool.uses += 1;
            return;
        }
        self.endpoints.take_at(row.first, row.count);
        let pool = Pool {
            first: row.first,
            count: row.count,
            uses: 1,
        };
        self.pools.insert(Arc::clone(endpoints), pool);
        for index in row.first..row.first.saturating_add(row.count) {
            let number = live.endpoints.get(&index).map_or(0, |found| found.workload);
            if let Some(pod) = names.workloads.get(&number) {
                self.tables.workloads.adopt(number, pod);
            }
        }
    }
}

/// The rows of MEMBERS that go with a row of ROUTES.
fn members(found: &RouteRow, live: &Live) -> BTreeMap<MemberKey, Member> {
    let mut members = BTreeMap::new();
    if !found.has(ROUTE_AFFINITY) {
        return members;
    }
    for (destination, row) in (0..).zip(found.destinations()) {
        if row.weight == 0 {
            continue;
        }
        for endpoint in row.first..row.first.saturating_add(row.count) {
            let Some(at) = live.endpoints.get(&endpoint) else {
                continue;
            };
            let key = MemberKey {
                split: found.split,
                endpoint: at.peer(),
            };
            members.entry(key).or_insert(Member {
                endpoint,
                destination,
            });
        }
    }
    members
}

/// The endpoints of a destination, by name.
fn endpoints(row: &DestinationRow, live: &Live, names: &Names) -> Option<Arc<[Endpoint]>> {
    (row.first..row.first.checked_add(row.count)?)
        .map(|index| {
            let found = live.endpoints.get(&index)?;
            let pod = match found.workload {
                0 => None,
                number => Some((**names.workloads.get(&number)?).clone()),
            };
            Some(Endpoint {
                ip: found.addr.to_ip(),
                port: found.port.number(),
                pod,
            })
        })
        .collect()
}

/// Differs from every pod there can be.
fn nobody() -> PodRef {
    PodRef {
        namespace: String::new(),
        name: String::new(),
    }
}

/// Differs from every route that can be wanted.
fn unknown(found: &RouteRow) -> Route {
    Route {
        service: Arc::new(ServiceName {
            namespace: String::new(),
            name: String::new(),
            host: String::new(),
            port_name: String::new(),
            protocol: String::new(),
        }),
        rule: Arc::new(Rule::Service),
        hidden: true,
        varies: found.has(ROUTE_VARIES),
        depth: steer_common::Depth::Connect,
        auto: false,
        affinity_secs: 0,
        destinations: Vec::new(),
    }
}
