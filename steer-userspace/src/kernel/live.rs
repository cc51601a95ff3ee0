//! A copy of what the maps hold: for listings, `explain`, and an agent that takes over.

use std::collections::BTreeMap;

use steer_common::{
    endpoint::Endpoint,
    flow::{Member, MemberKey},
    limits::REASON_COUNTERS,
    logic::Maps as Lookups,
    reason::Reason,
    service::{ClassId, Route, RowId, ServiceKey, Source, SplitId},
};

use super::{KernelError, Maps};

/// What the maps hold, as far as a service leads to it.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// SERVICES.
    pub services: BTreeMap<ServiceKey, RowId>,
    /// ROUTES, by row.
    pub routes: BTreeMap<RowId, Route>,
    /// ENDPOINTS, by row.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// TICKETS: how many each split has given out.
    pub tickets: BTreeMap<SplitId, u64>,
    /// SOURCES, by network-namespace cookie.
    pub sources: BTreeMap<u64, Source>,
    /// MEMBERS.
    pub members: BTreeMap<MemberKey, Member>,
    /// COUNTERS of the routes, by row, summed over the CPUs.
    pub counters: BTreeMap<u32, u64>,
    /// COUNTERS of the reasons.
    pub reasons: BTreeMap<Reason, u64>,
}

impl Maps {
    /// Reads everything that services lead to.
    pub fn read(&self) -> Result<Live, KernelError> {
        let mut live = Live::default();
        for entry in self.services.iter() {
            let (key, row) = entry.map_err(KernelError::map("SERVICES"))?;
            live.services.insert(key, row);
        }
        let rows: Vec<RowId> = live.services.values().copied().collect();
        for row in rows {
            let route = self
                .routes
                .get(&row, 0)
                .map_err(KernelError::map("ROUTES"))?;
            self.read_route(&mut live, &route)?;
            live.routes.insert(row, route);
        }
        for entry in self.sources.iter() {
            let (cookie, source) = entry.map_err(KernelError::map("SOURCES"))?;
            live.sources.insert(cookie, source);
        }
        for entry in self.members.iter() {
            let (key, member) = entry.map_err(KernelError::map("MEMBERS"))?;
            live.members.insert(key, member);
        }
        for reason in Reason::ALL {
            live.reasons.insert(reason, self.counter(reason.index())?);
        }
        Ok(live)
    }

    fn read_route(&self, live: &mut Live, route: &Route) -> Result<(), KernelError> {
        let tickets = self
            .tickets
            .get(&route.split, 0)
            .map_err(KernelError::map("TICKETS"))?;
        live.tickets.insert(route.split, tickets);
        for (destination, counter) in route.destinations().iter().zip(route.counters..) {
            if counter >= REASON_COUNTERS {
                live.counters.insert(counter, self.counter(counter)?);
            }
            for index in destination.first..destination.first.saturating_add(destination.count) {
                if live.endpoints.contains_key(&index) {
                    continue;
                }
                let row = self
                    .endpoints
                    .get(&index, 0)
                    .map_err(KernelError::map("ENDPOINTS"))?;
                live.endpoints.insert(index, row);
            }
        }
        Ok(())
    }

    fn counter(&self, index: u32) -> Result<u64, KernelError> {
        let values = self
            .counters
            .get(&index, 0)
            .map_err(KernelError::map("COUNTERS"))?;
        Ok(values.iter().sum())
    }
}

/// The copy, asked by one client: the very decision the kernel takes, without taking a ticket.
pub struct Asked<'a> {
    /// The copy.
    pub live: &'a Live,
    /// The client's class.
    pub class: Option<ClassId>,
}

impl Lookups for Asked<'_> {
    fn row(&self, key: &ServiceKey) -> Option<RowId> {
        self.live.services.get(key).copied()
    }

    fn route(&self, row: RowId) -> Option<&Route> {
        self.live.routes.get(&row)
    }

    fn endpoint(&self, index: u32) -> Option<&Endpoint> {
        self.live.endpoints.get(&index)
    }

    fn take_ticket(&self, split: SplitId) -> Option<u64> {
        self.live.tickets.get(&split).copied()
    }

    fn class(&self) -> Option<ClassId> {
        self.class
    }

    fn recall(&self, _route: &Route) -> Option<Member> {
        // Whether this client is remembered is shown apart: its memory ends at a moment.
        None
    }

    fn remember(&self, _route: &Route, _endpoint: &Endpoint) {}
}
