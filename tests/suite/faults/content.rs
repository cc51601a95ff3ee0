//! What the kernel holds, to be compared.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use steer::{
    control::read_names,
    kernel::{Maps, Pins},
    live::Live,
    plan::EgressRows,
};
use steer_common::{
    endpoint::Endpoint,
    flow::{Member, MemberKey},
    service::{Route, RowId, ServiceKey, Source},
};
use steer_tests::lab::Lab;

/// Everything that configuration decides, and the counts that go on over changes of it.
#[derive(PartialEq, Debug)]
pub(crate) struct Content {
    generation: u32,
    applying: u32,
    services: BTreeMap<ServiceKey, RowId>,
    routes: BTreeMap<RowId, Route>,
    endpoints: BTreeMap<u32, Endpoint>,
    tickets: BTreeMap<u32, u64>,
    counters: BTreeMap<u32, u64>,
    sources: BTreeMap<u64, Source>,
    members: BTreeMap<MemberKey, Member>,
    egress: EgressRows,
}

impl Content {
    /// Reads it.
    pub(crate) fn of(lab: &Lab) -> Result<Self> {
        let live = Maps::open(&Pins::new(lab.dirs().pins()))?.read()?;
        ensure_named(lab, &live)?;
        let mut egress = live.egress;
        // What was let through on the way there and back is judged again: that is their use.
        for policy in egress.policies.values_mut() {
            policy.generation = 0;
        }
        Ok(Self {
            generation: live.generation,
            applying: live.applying,
            services: live.services,
            routes: live.routes,
            endpoints: live.endpoints,
            tickets: live.tickets,
            counters: live.counters,
            sources: live.sources,
            members: live.members,
            egress,
        })
    }

    /// The generation in force.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Says what differs from `other`.
    pub(crate) fn ensure_is(&self, other: &Self) -> Result<()> {
        let notes = |this: &Self| (this.generation, this.applying);
        ensure!(notes(self) == notes(other), "META: {:?}", notes(self));
        ensure!(self.services == other.services, "SERVICES differ");
        ensure!(self.routes == other.routes, "ROUTES differ");
        ensure!(self.endpoints == other.endpoints, "ENDPOINTS differ");
        ensure!(self.tickets == other.tickets, "TICKETS differ");
        ensure!(self.counters == other.counters, "COUNTERS differ");
        ensure!(self.sources == other.sources, "SOURCES differ");
        ensure!(self.members == other.members, "MEMBERS differ");
        ensure!(
            self.egress == other.egress,
            "the egress guard: {:?}, not {:?}",
            self.egress,
            other.egress
        );
        Ok(())
    }
}

/// Every row is named, and by the service whose address leads to it.
fn ensure_named(lab: &Lab, live: &Live) -> Result<()> {
    let names = read_names(&lab.dirs().state())?;
    let mut addresses = BTreeMap::new();
    for (key, row) in &live.services {
        let number = live.routes[row].service;
        let name = names.services.get(&number);
        ensure!(name.is_some(), "{key:?} has no name");
        let is_v4 = key.addr.to_ip().is_ipv4();
        let other = addresses.insert((key.class, number, is_v4), key.addr);
        ensure!(
            other.is_none_or(|other| other == key.addr),
            "{name:?} is the name of two"
        );
    }
    Ok(())
}
