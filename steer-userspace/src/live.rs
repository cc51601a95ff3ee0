//! A copy of what the maps hold: for listings, `explain`, and an agent that takes over.
//! Filled by `kernel`; pure data here.

use std::collections::BTreeMap;

use steer_common::{
    addr::{Addr, Peer, Port},
    egress::{Learned, LearnedKey, Meta, meta::AWAY_CLOSED},
    endpoint::Endpoint,
    flow::{Affinity, Member, MemberKey, Recalled},
    index::Bucket,
    logic::{Door, Maps as Lookups, Tables},
    reason::Reason,
    service::{ClassId, REQUEST_PORT, Route, RowId, ServiceKey, Source, SplitId, request_address},
};

use crate::plan::EgressRows;

mod egress;

pub use egress::AskedEgress;

/// What the maps hold, as far as a service leads to it.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// META: the generation in force.
    pub generation: u32,
    /// META: the generation that was being applied when this was read; 0 for none.
    pub applying: u32,
    /// META, as a whole.
    pub meta: Meta,
    /// SERVICES, as the kernel reads it.
    pub buckets: Vec<Bucket>,
    /// Where SERVICES leads.
    pub services: BTreeMap<ServiceKey, RowId>,
    /// ROUTES, by row.
    pub routes: BTreeMap<RowId, Route>,
    /// ENDPOINTS, by row.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// TICKETS: how many each split has given out.
    pub tickets: BTreeMap<SplitId, u64>,
    /// SOURCES, by network-namespace cookie.
    pub sources: BTreeMap<u64, Source>,
    /// What the agent wrote into the maps of the egress guard.
    pub egress: EgressRows,
    /// `EGRESS_LEARNED`: what answers taught.
    pub learned: BTreeMap<LearnedKey, Learned>,
    /// `NAMES_SEEN`.
    pub names_seen: BTreeMap<LearnedKey, String>,
    /// MEMBERS.
    pub members: BTreeMap<MemberKey, Member>,
    /// COUNTERS of the routes, by row, summed over the CPUs.
    pub counters: BTreeMap<u32, u64>,
    /// COUNTERS of the reasons.
    pub reasons: BTreeMap<Reason, u64>,
}

/// The copy, asked by one client: the very decision the kernel takes, without taking a ticket.
pub struct Asked<'a> {
    /// The copy.
    pub live: &'a Live,
    /// The client's class.
    pub class: Option<ClassId>,
    /// AFFINITY, as far as it is about this client.
    pub memories: &'a BTreeMap<SplitId, Affinity>,
    /// Nanoseconds of the monotonic clock: a memory ends at a moment, and so does a heartbeat.
    pub now_ns: u64,
    /// Whether the agent listens where the client is, if it lives.
    pub attended: bool,
}

impl Tables for Live {
    fn bucket_mask(&self) -> u32 {
        u32::try_from(self.buckets.len())
            .unwrap_or_default()
            .wrapping_sub(1)
    }

    fn bucket(&self, index: u32) -> Option<&Bucket> {
        self.buckets.get(index as usize)
    }

    fn route(&self, row: RowId) -> Option<&Route> {
        self.routes.get(&row)
    }

    fn endpoint(&self, index: u32) -> Option<&Endpoint> {
        self.endpoints.get(&index)
    }

    fn take_ticket(&self, split: SplitId) -> Option<u64> {
        self.tickets.get(&split).copied()
    }
}

impl Lookups for Asked<'_> {
    type Tables = Live;

    fn tables(&self) -> &Live {
        self.live
    }
    fn class(&self) -> Option<ClassId> {
        self.class
    }

    fn door(&self, route: &Route) -> Door {
        let there = self.attended && self.live.meta.is_agent_there(self.now_ns);
        match request_address(route.split).filter(|_| there) {
            Some(address) => {
                let addr = Addr::from_v4_word(u32::from_ne_bytes(address));
                Door::Listener(Peer::new(addr, Port::new(REQUEST_PORT)))
            }
            None if self.live.meta.when_away == AWAY_CLOSED => Door::Closed,
            None => Door::Open,
        }
    }

    fn recall(&self, route: &Route) -> Option<Recalled> {
        let memory = self.memories.get(&route.split)?;
        let hold_ns = u64::from(route.affinity_secs) * 1_000_000_000;
        if self.now_ns.saturating_sub(memory.seen_ns) > hold_ns {
            return None;
        }
        let endpoint = memory.endpoint;
        let key = MemberKey {
            split: route.split,
            endpoint,
        };
        let member = *self.live.members.get(&key)?;
        Some(Recalled { endpoint, member })
    }

    fn remember(&self, _route: &Route, _endpoint: &Endpoint) {}
}
