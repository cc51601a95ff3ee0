//! Pods that change their policy in a plan that changes what policies allow.
//!
//! On the way a policy allows what it did and what it will. Whoever leaves it meanwhile, or comes, could
//! reach what neither of its two policies allows it. So the policies that pods come to, and that nobody
//! leaves, become as wanted first; then those pods move; and so on. What is left are policies that
//! exchange pods, in a circle.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::{
    egress::PolicyId,
    service::{ClassId, Source as SourceRow},
};

use crate::plan::{egress::EgressRows, gains::of_name, step::Step};

/// Something that gets another policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    from: PolicyId,
    pub(super) to: PolicyId,
    pub(super) what: Moved,
}

/// What moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// A network namespace: its row with the new policy, and the class of before.
    Source(u64, SourceRow),
    /// An interface.
    Port(u32),
}

impl Move {
    /// A network namespace that has `row` from now on, if that is another policy than before.
    pub(super) fn of_source(cookie: u64, old: Option<&SourceRow>, row: SourceRow) -> Option<Self> {
        let from = old.map_or_else(PolicyId::default, |old| old.policy.number());
        let class = old.map_or_else(ClassId::default, |old| old.class.number());
        let to = row.policy.number();
        (from != to).then(|| Self {
            from,
            to,
            what: Moved::Source(
                cookie,
                SourceRow::new(cookie, class, to, row.workload)
                    .behind(row.interface)
                    .at(row.addrs),
            ),
        })
    }

    /// The step of a network namespace.
    pub(super) fn step(&self) -> Option<Step> {
        match self.what {
            Moved::Source(cookie, source) => Some(Step::SetSource { cookie, source }),
            Moved::Port(_) => None,
        }
    }
}

/// The interfaces that get another policy.
pub(super) fn of_ports(live: &EgressRows, wanted: &EgressRows) -> Vec<Move> {
    let moved = wanted.ports.iter().filter_map(|(&index, row)| {
        let old = live.ports.get(&index);
        let from = old.map_or_else(PolicyId::default, |old| old.policy);
        (from != row.policy).then_some(Move {
            from,
            to: row.policy,
            what: Moved::Port(index),
        })
    });
    moved.collect()
}

/// Takes out of `moves` those to policies that nobody leaves; none if there are no such.
pub(super) fn next_wave(moves: &mut Vec<Move>) -> Option<Vec<Move>> {
    let left: BTreeSet<PolicyId> = moves.iter().map(|one| one.from).collect();
    let all = std::mem::take(moves).into_iter();
    let (wave, rest): (Vec<_>, Vec<_>) = all.partition(|one| !left.contains(&one.to));
    *moves = rest;
    (!wave.is_empty()).then_some(wave)
}

impl EgressRows {
    /// These rows, but for some policies those of `wanted`.
    pub(super) fn with_policies(&self, wanted: &Self, ids: &BTreeSet<PolicyId>) -> Self {
        let mut rows = self.clone();
        let new = |id: PolicyId| ids.contains(&id);
        exchange(&mut rows.policies, &wanted.policies, |&id| new(id));
        exchange(&mut rows.nets, &wanted.nets, |(key, _)| new(key.policy));
        exchange(&mut rows.hosts, &wanted.hosts, |key| new(key.policy));
        exchange(&mut rows.names, &wanted.names, |(key, _)| new(of_name(key)));
        exchange(&mut rows.resolved, &wanted.resolved, |key| new(key.policy));
        rows
    }
}

/// Makes the rows of some keys those of `wanted`.
fn exchange<K: Copy + Ord, V: Copy>(
    rows: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    is_meant: impl Fn(&K) -> bool,
) {
    rows.retain(|key, _| !is_meant(key));
    let new = wanted.iter().filter(|(key, _)| is_meant(key));
    rows.extend(new.map(|(&key, &row)| (key, row)));
}
