//! The rows of the egress guard, and the steps that lead from one set of them to another.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::{
    Addr,
    egress::{
        HostKey, HostRule, Learned, LearnedKey, Meta, Mode, NameKey, NameRule, NetKey, NetRule,
        Policy, PolicyId, PortRow,
    },
};

/// What the maps of the egress guard hold, or will hold.
///
/// Numbers of policies and hosts are stable: a number is never given to another policy or host
/// while the maps live, because sockets, flows and learned addresses remember it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EgressRows {
    /// META, as far as it is about egress.
    pub settings: EgressSettings,
    /// POLICIES. `Policy::generation` is planned: what is wanted there is not looked at.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// `EGRESS_NETS`, by key and prefix length.
    pub nets: BTreeMap<(NetKey, u32), NetRule>,
    /// `EGRESS_HOSTS`.
    pub hosts: BTreeMap<HostKey, HostRule>,
    /// `EGRESS_NAMES`, by key and prefix length.
    pub names: BTreeMap<(NameKey, u32), NameRule>,
    /// `EGRESS_RESOLVED`.
    pub resolved: BTreeMap<LearnedKey, Learned>,
    /// RESOLVERS.
    pub resolvers: BTreeSet<Addr>,
    /// PORTS, by interface index.
    pub ports: BTreeMap<u32, PortRow>,
}

/// The words of META that configuration decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EgressSettings {
    /// Whether any policy audits or enforces.
    pub on: bool,
    /// What `connect` fails with.
    pub errno: u32,
    /// The least time that a learned address is good for.
    pub ttl_min_secs: u32,
    /// The longest.
    pub ttl_max_secs: u32,
    /// Events that a CPU may report each second.
    pub events_per_sec: u32,
}

impl From<&Meta> for EgressSettings {
    fn from(meta: &Meta) -> Self {
        Self {
            on: meta.egress != 0,
            errno: meta.errno,
            ttl_min_secs: meta.ttl_min_secs,
            ttl_max_secs: meta.ttl_max_secs,
            events_per_sec: meta.events_per_sec,
        }
    }
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self::from(&Meta::new())
    }
}

/// One row of one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<K, V> {
    /// Writes it.
    Set(K, V),
    /// Removes it.
    Remove(K),
}

/// One write to one map of the egress guard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EgressStep {
    /// META.
    Settings(EgressSettings),
    /// POLICIES.
    Policy(PolicyId, Policy),
    /// `EGRESS_NETS`.
    Net(Change<(NetKey, u32), NetRule>),
    /// `EGRESS_HOSTS`.
    Host(Change<HostKey, HostRule>),
    /// `EGRESS_NAMES`.
    Name(Change<Box<(NameKey, u32)>, NameRule>),
    /// `EGRESS_RESOLVED`.
    Resolved(Change<LearnedKey, Box<Learned>>),
    /// RESOLVERS.
    Resolver(Change<Addr, ()>),
    /// PORTS.
    Port(Change<u32, Box<PortRow>>),
}

impl EgressStep {
    /// The map it writes to.
    pub const fn map(&self) -> &'static str {
        match self {
            Self::Settings(_) => "META",
            Self::Policy(..) => "POLICIES",
            Self::Net(_) => "EGRESS_NETS",
            Self::Host(_) => "EGRESS_HOSTS",
            Self::Name(_) => "EGRESS_NAMES",
            Self::Resolved(_) => "EGRESS_RESOLVED",
            Self::Resolver(_) => "RESOLVERS",
            Self::Port(_) => "PORTS",
        }
    }
}

impl EgressRows {
    /// The steps from these rows to `wanted`: what is allowed comes first, then what no longer
    /// is goes, then policies that lost something get a new generation, which makes sockets and
    /// flows be judged again, on the new rows.
    pub fn steps(&self, wanted: &Self) -> Vec<EgressStep> {
        let mut add = Vec::new();
        let mut remove = Vec::new();
        let mut lost = BTreeSet::new();
        for change in changes(&self.hosts, &wanted.hosts) {
            if let Change::Set(key, _) | Change::Remove(key) = &change
                && self.hosts.contains_key(key)
            {
                lost.insert(key.policy);
            }
            sort(change, &mut add, &mut remove, EgressStep::Host);
        }
        for change in changes(&self.nets, &wanted.nets) {
            // A network that appears may be longer than the one that allowed an address before.
            let (Change::Set((key, _), _) | Change::Remove((key, _))) = &change;
            lost.insert(key.policy);
            sort(change, &mut add, &mut remove, EgressStep::Net);
        }
        for change in changes(&self.names, &wanted.names) {
            let change = match change {
                Change::Set(key, rule) => Change::Set(Box::new(key), rule),
                Change::Remove(key) => Change::Remove(Box::new(key)),
            };
            sort(change, &mut add, &mut remove, EgressStep::Name);
        }
        for change in changes(&self.resolved, &wanted.resolved) {
            let change = match change {
                Change::Set(key, row) => Change::Set(key, Box::new(row)),
                Change::Remove(key) => Change::Remove(key),
            };
            sort(change, &mut add, &mut remove, EgressStep::Resolved);
        }
        for addr in wanted.resolvers.difference(&self.resolvers) {
            add.push(EgressStep::Resolver(Change::Set(*addr, ())));
        }
        for addr in self.resolvers.difference(&wanted.resolvers) {
            remove.push(EgressStep::Resolver(Change::Remove(*addr)));
        }
        for change in changes(&self.ports, &wanted.ports) {
            let change = match change {
                Change::Set(key, row) => Change::Set(key, Box::new(row)),
                Change::Remove(key) => Change::Remove(key),
            };
            sort(change, &mut add, &mut remove, EgressStep::Port);
        }
        let mut steps = add;
        steps.append(&mut remove);
        steps.extend(self.policy_steps(wanted, &lost));
        if self.settings != wanted.settings {
            steps.push(EgressStep::Settings(wanted.settings));
        }
        steps
    }

    fn policy_steps<'a>(
        &'a self,
        wanted: &'a Self,
        lost: &'a BTreeSet<PolicyId>,
    ) -> impl Iterator<Item = EgressStep> + 'a {
        let gone = self.policies.keys();
        let gone = gone.filter(|id| !wanted.policies.contains_key(id));
        // A policy that is gone refuses, should anybody still lead to it.
        let gone = gone.map(|&id| EgressStep::Policy(id, Policy::default()));
        let set = wanted.policies.iter().filter_map(|(&id, policy)| {
            let live = self.policies.get(&id).copied().unwrap_or_default();
            let stricter = live.mode() != policy.mode() && policy.mode() == Mode::Enforce;
            let revoke = live.generation == 0 || stricter || lost.contains(&id);
            let generation = match live.generation.wrapping_add(u32::from(revoke)) {
                0 => 1,
                generation => generation,
            };
            let row = Policy {
                generation,
                ..*policy
            };
            (row != live).then_some(EgressStep::Policy(id, row))
        });
        set.chain(gone)
    }
}

fn sort<K, V>(
    change: Change<K, V>,
    add: &mut Vec<EgressStep>,
    remove: &mut Vec<EgressStep>,
    step: fn(Change<K, V>) -> EgressStep,
) {
    match change {
        Change::Set(..) => add.push(step(change)),
        Change::Remove(_) => remove.push(step(change)),
    }
}

fn changes<K: Copy + Ord, V: Copy + PartialEq>(
    live: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Vec<Change<K, V>> {
    let set = wanted
        .iter()
        .filter(|(key, value)| live.get(key) != Some(value))
        .map(|(&key, &value)| Change::Set(key, value));
    let gone = live
        .keys()
        .filter(|key| !wanted.contains_key(key))
        .map(|&key| Change::Remove(key));
    set.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use steer_common::{Port, egress::Check};

    use super::*;

    fn rows(hosts: &[u32]) -> EgressRows {
        let mut rows = EgressRows::default();
        rows.policies.insert(1, Policy::new(Mode::Enforce, 0));
        for &host in hosts {
            let key = HostKey::new(1, host, Port::new(443), 6);
            let rule = HostRule::new(key, Check::Sni, 0);
            rows.hosts.insert(key, rule);
        }
        rows
    }

    fn generation(steps: &[EgressStep]) -> Option<u32> {
        let of = |step: &EgressStep| match step {
            EgressStep::Policy(1, policy) => Some(policy.generation),
            _ => None,
        };
        steps.iter().find_map(of)
    }

    #[test]
    fn more_is_allowed_without_a_new_generation_and_less_with_one() {
        let mut live = rows(&[1]);
        assert_eq!(generation(&EgressRows::default().steps(&live)), Some(1));
        live.policies.insert(1, Policy::new(Mode::Enforce, 1));
        assert_eq!(live.steps(&live), []);
        let more = live.steps(&rows(&[1, 2]));
        assert!(matches!(more[..], [EgressStep::Host(Change::Set(..))]));
        let less = live.steps(&rows(&[2]));
        assert!(matches!(
            less[..],
            [
                EgressStep::Host(Change::Set(..)),
                EgressStep::Host(Change::Remove(_)),
                EgressStep::Policy(..)
            ]
        ));
        assert_eq!(generation(&less), Some(2));
    }

    #[test]
    fn a_policy_that_goes_refuses() {
        let live = rows(&[]);
        let steps = live.steps(&EgressRows::default());
        assert_eq!(steps, [EgressStep::Policy(1, Policy::default())]);
        assert_eq!(Policy::default().mode(), Mode::Enforce);
    }

    #[test]
    fn the_guard_is_switched_on_last() {
        let mut wanted = rows(&[1]);
        wanted.settings.on = true;
        wanted.resolvers.insert(Ipv4Addr::new(10, 96, 0, 10).into());
        let steps = EgressRows::default().steps(&wanted);
        assert_eq!(steps.last(), Some(&EgressStep::Settings(wanted.settings)));
    }
}
