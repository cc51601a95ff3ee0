//! The way back: what each write replaces is noted before it is written. Backwards, the maps go
//! through the very states of the way there, each of which was safe.

mod held;

use std::collections::BTreeSet;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError, lpm_trie},
};
use steer_common::egress::{Policy, PolicyId};

use self::held::Held;
use super::{EgressMaps, Grace, KernelError, Maps};
use crate::plan::{Change, EgressSettings, EgressStep, Step};

/// The way back from one plan.
#[derive(Debug, Default)]
pub struct Undo {
    /// Steps that lead to where the first write began, in the order in which they were noted.
    steps: Vec<Step>,
    /// Policies that were given or lost something meanwhile.
    judged: BTreeSet<PolicyId>,
    /// What the rows held that were filled; nobody asks for it after the first plan of a change.
    held: Option<Vec<Held>>,
}

impl Undo {
    /// Of a plan that follows another one of the same change: rows that it fills may be those that
    /// the other replaced, and leads back to.
    pub fn of_later() -> Self {
        Self {
            held: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Notes what `step` will replace.
    pub(super) fn note(&mut self, maps: &Maps, step: &Step) -> Result<(), KernelError> {
        if let Step::Egress(step) = step {
            self.judged.extend(policy(step));
        }
        if let Some(held) = &mut self.held {
            held.extend(maps.held(step)?);
        }
        self.steps.extend(maps.inverse(step)?);
        Ok(())
    }
}

impl Maps {
    /// Goes back. Policies of which anything changed get a new generation: what was let through on
    /// the way is judged again. It is noted last that nothing is being applied, as the first step
    /// noted that something was.
    pub fn undo(&mut self, undo: Undo, grace: &Grace) -> Result<(), KernelError> {
        let mut back = undo.steps.iter().rev();
        let begun = back.next_back();
        back.try_for_each(|step| self.step(step))?;
        for id in undo.judged {
            self.egress.revoke(id)?;
        }
        let held = undo.held.unwrap_or_default();
        if !held.is_empty() {
            // Until then a program may still read what was in force a moment ago.
            grace.wait()?;
        }
        let mut held = held.into_iter().rev();
        held.try_for_each(|held| self.refill(held))?;
        begun.map_or(Ok(()), |step| self.step(step))
    }

    /// What leads back from `step`; nothing for rows that nobody reads yet.
    fn inverse(&self, step: &Step) -> Result<Option<Step>, KernelError> {
        Ok(Some(match step {
            Step::Endpoints { .. }
            | Step::StartTickets { .. }
            | Step::StartCounters { .. }
            | Step::Route { .. } => return Ok(None),
            &Step::Finish { generation } => Step::Begin { generation },
            Step::Begin { .. } => Step::Finish {
                generation: self.egress.meta()?.generation,
            },
            &Step::Publish {
                key,
                row,
                replaces: None,
            } => Step::Unpublish { key, row },
            &Step::Publish {
                key,
                row,
                replaces: Some(old),
            } => Step::Publish {
                key,
                row: old,
                replaces: Some(row),
            },
            &Step::Unpublish { key, row } => Step::Publish {
                key,
                row,
                replaces: None,
            },
            Step::AddMember { key, .. } | Step::RemoveMember { key } => {
                match value("MEMBERS", &self.members, key)? {
                    Some(member) => Step::AddMember { key: *key, member },
                    None => Step::RemoveMember { key: *key },
                }
            }
            Step::SetSource { cookie, .. } | Step::RemoveSource { cookie } => {
                let cookie = *cookie;
                match value("SOURCES", &self.sources, &cookie)? {
                    Some(source) => Step::SetSource { cookie, source },
                    None => Step::RemoveSource { cookie },
                }
            }
            Step::Egress(step) => Step::Egress(self.egress.inverse(step)?),
        }))
    }
}

impl EgressMaps {
    fn inverse(&self, step: &EgressStep) -> Result<EgressStep, KernelError> {
        Ok(match step {
            EgressStep::Settings(_) => EgressStep::Settings(EgressSettings::from(&self.meta()?)),
            EgressStep::Policy(id, _) => EgressStep::Policy(*id, self.policy(*id)?),
            EgressStep::Net(change) => {
                let key = *change.key();
                let old = self.nets.get(&lpm_trie::Key::new(key.1, key.0), 0);
                EgressStep::Net(changed(key, found("EGRESS_NETS", old)?))
            }
            EgressStep::Name(change) => {
                let key = change.key().clone();
                let old = self.names.get(&lpm_trie::Key::new(key.1, key.0), 0);
                EgressStep::Name(changed(key, found("EGRESS_NAMES", old)?))
            }
            EgressStep::Host(change) => {
                let old = value("EGRESS_HOSTS", &self.hosts, change.key())?;
                EgressStep::Host(changed(*change.key(), old))
            }
            EgressStep::Resolved(change) => {
                let old = value("EGRESS_RESOLVED", &self.resolved, change.key())?;
                EgressStep::Resolved(changed(*change.key(), old.map(Box::new)))
            }
            EgressStep::Resolver(change) => {
                let old = value("RESOLVERS", &self.resolvers, change.key())?;
                EgressStep::Resolver(changed(*change.key(), old.map(drop)))
            }
            EgressStep::Port(change) => {
                let old = value("PORTS", &self.ports, change.key())?;
                EgressStep::Port(changed(*change.key(), old.map(Box::new)))
            }
        })
    }

    /// Lets what a policy let through be judged again.
    fn revoke(&mut self, id: PolicyId) -> Result<(), KernelError> {
        let row = self.policy(id)?;
        if row == Policy::default() {
            return Ok(());
        }
        let generation = row.generation.wrapping_add(1).max(1);
        self.step(&EgressStep::Policy(id, Policy { generation, ..row }))
    }
}

/// The policy that a step is about.
fn policy(step: &EgressStep) -> Option<PolicyId> {
    match step {
        EgressStep::Policy(id, _) => Some(*id),
        EgressStep::Net(change) => Some(change.key().0.policy),
        EgressStep::Name(change) => {
            let name = change.key().0;
            Some(PolicyId::from(u16::from_le_bytes(name.policy)))
        }
        EgressStep::Host(change) => Some(change.key().policy),
        EgressStep::Resolved(change) => Some(change.key().policy),
        EgressStep::Settings(_) | EgressStep::Resolver(_) | EgressStep::Port(_) => None,
    }
}

fn changed<K, V>(key: K, old: Option<V>) -> Change<K, V> {
    match old {
        Some(old) => Change::Set(key, old),
        None => Change::Remove(key),
    }
}

fn value<K: Pod, V: Pod>(
    name: &'static str,
    map: &HashMap<MapData, K, V>,
    key: &K,
) -> Result<Option<V>, KernelError> {
    found(name, map.get(key, 0))
}

fn found<V>(name: &'static str, value: Result<V, MapError>) -> Result<Option<V>, KernelError> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(source) => Err(KernelError::map(name)(source)),
    }
}
