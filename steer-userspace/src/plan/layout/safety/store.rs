//! The maps in memory: they take steps, and refuse to write rows that are in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use steer_common::egress::{Grant, Learned, LearnedKey, Mode, NameKey, PolicyId};

use super::seen::{Probe, Seen};
use crate::{
    live::Live,
    plan::{Change, EgressStep, Step},
};

/// What the kernel holds, and what its flows remember.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) live: Live,
    /// What a policy's generation ever let through, and when it last did.
    let_through: BTreeMap<(PolicyId, u32), BTreeMap<Probe, String>>,
}

impl Store {
    pub(super) fn step(&mut self, step: &Step) {
        let live = &mut self.live;
        match step {
            Step::Begin { generation } => live.applying = *generation,
            Step::Finish { generation } => (live.generation, live.applying) = (*generation, 0),
            Step::Endpoints { first, rows } => {
                for (index, row) in (*first..).zip(rows) {
                    assert!(!is_read(live, index), "endpoint {index} is in force");
                    live.endpoints.insert(index, *row);
                }
            }
            Step::StartTickets { split } => drop(live.tickets.insert(*split, 0)),
            Step::StartCounters { .. } => {}
            Step::Route { row, route } => {
                let in_force = live.services.values().any(|used| used == row);
                assert!(!in_force, "row {row} is in force");
                live.routes.insert(*row, **route);
            }
            Step::AddMember { key, member } => drop(live.members.insert(*key, *member)),
            Step::RemoveMember { key } => drop(live.members.remove(key)),
            Step::Publish { key, row, replaces } => {
                assert_eq!(live.routes[row].key, *key);
                assert_eq!(live.services.get(key), replaces.as_ref());
                live.services.insert(*key, *row);
            }
            Step::Unpublish { key, row } => assert_eq!(live.services.remove(key), Some(*row)),
            Step::SetSource { cookie, source } => drop(live.sources.insert(*cookie, *source)),
            Step::RemoveSource { cookie } => drop(live.sources.remove(cookie)),
            Step::Egress(step) => self.egress_step(step),
        }
    }

    fn egress_step(&mut self, step: &EgressStep) {
        let rows = &mut self.live.egress;
        match step.clone() {
            EgressStep::Settings(settings) => rows.settings = settings,
            EgressStep::Policy(id, row) => drop(rows.policies.insert(id, row)),
            EgressStep::Net(change) => write(&mut rows.nets, change),
            EgressStep::Host(change) => write(&mut rows.hosts, change),
            EgressStep::Name(Change::Set(key, rule)) => drop(rows.names.insert(*key, rule)),
            EgressStep::Name(Change::Remove(key)) => drop(rows.names.remove(&key)),
            EgressStep::Resolved(Change::Set(key, row)) => drop(rows.resolved.insert(key, *row)),
            EgressStep::Resolved(Change::Remove(key)) => drop(rows.resolved.remove(&key)),
            EgressStep::Resolver(Change::Set(addr, ())) => drop(rows.resolvers.insert(addr)),
            EgressStep::Resolver(Change::Remove(addr)) => drop(rows.resolvers.remove(&addr)),
            EgressStep::Port(Change::Set(index, row)) => drop(rows.ports.insert(index, *row)),
            EgressStep::Port(Change::Remove(index)) => drop(rows.ports.remove(&index)),
        }
    }

    /// The kernel sees an answer to a question of a client of `policy`, and learns.
    pub(super) fn learn(&mut self, policy: PolicyId, name: &str, address: IpAddr) {
        let rule = |text: &str| {
            let (bits, key) = NameKey::new(policy, text)?;
            self.live.egress.names.get(&(key, bits))
        };
        let wide = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let rule = rule(name).or_else(|| wide.and_then(|wide| rule(&wide)));
        let Some(host) = rule.map(|rule| rule.host).filter(|host| *host != 0) else {
            return;
        };
        let key = LearnedKey {
            policy,
            addr: address.into(),
        };
        let row = Learned::one(key, Grant::new(host, u32::MAX));
        self.live.learned.insert(key, row);
    }

    /// Somebody tries everything now, and keeps the flows that are let through.
    pub(super) fn remember(&mut self, seen: &Seen, when: &str) {
        for (policy, probe) in seen.open_for_good() {
            let row = self.live.egress.policies.get(&policy);
            let generation = row.map_or(0, |row| row.generation);
            let flows = self.let_through.entry((policy, generation)).or_default();
            flows.insert(probe, when.to_owned());
        }
    }

    /// Flows that hold by their generation are flows that would be let through now.
    pub(super) fn assert_revoked(&self) {
        if !self.live.egress.settings.on {
            return;
        }
        let seen = Seen::of(self);
        let open: BTreeSet<_> = seen.open().collect();
        for (&policy, row) in &self.live.egress.policies {
            if row.mode() != Mode::Enforce {
                continue;
            }
            let flows = self.let_through.get(&(policy, row.generation));
            for (probe, when) in flows.into_iter().flatten() {
                let held = open.contains(&(policy, *probe));
                assert!(
                    held,
                    "{row:?} of {policy} keeps a flow to {probe:?}, let through {when}"
                );
            }
        }
    }
}

fn is_read(live: &Live, index: u32) -> bool {
    live.services.values().any(|row| {
        let mut ranges = live.routes[row].destinations().iter();
        ranges.any(|range| (range.first..range.first + range.count).contains(&index))
    })
}

fn write<K: Ord, V>(rows: &mut BTreeMap<K, V>, change: Change<K, V>) {
    match change {
        Change::Set(key, value) => drop(rows.insert(key, value)),
        Change::Remove(key) => drop(rows.remove(&key)),
    }
}
