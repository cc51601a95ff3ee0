//! The rows of the egress guard, and the steps that lead from one set of them to another.

use std::collections::{BTreeMap, BTreeSet};

use steer_common::{
    Addr,
    egress::{
        Check, HostId, HostKey, HostRule, Learned, LearnedKey, Meta, Mode, NameKey, NameRule,
        NetKey, NetRule, Policy, PolicyId, PortRow,
        policy::{POLICY_GONE, POLICY_IN_USE, POLICY_REVOKING},
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

impl<K, V> Change<K, V> {
    /// The row's key.
    pub const fn key(&self) -> &K {
        let (Self::Set(key, _) | Self::Remove(key)) = self;
        key
    }
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
    ///
    /// Of tries the longest match counts alone, so long entries come before short ones and go after
    /// them: on the way no address is seen by an entry that neither side means for it.
    pub fn steps(&self, wanted: &Self) -> Vec<EgressStep> {
        let mut lost = self.pending();
        let (add_hosts, remove_hosts) = self.host_steps(wanted, &mut lost);
        let (add_nets, remove_nets) = self.net_steps(wanted, &mut lost);
        let (add_names, remove_names) = self.name_steps(wanted);
        let (add_resolved, remove_resolved) = self.resolved_steps(wanted);
        let (add_ports, remove_ports) = self.port_steps(wanted);
        let resolver = |change: fn(Addr) -> Change<Addr, ()>, found: &BTreeSet<Addr>, other| {
            let only: Vec<_> = found.difference(other).map(|&one| change(one)).collect();
            only.into_iter().map(EgressStep::Resolver)
        };
        let (fresh, known): (Vec<_>, Vec<_>) = self
            .policy_steps(wanted, &lost)
            .partition(|(id, _)| !self.policies.get(id).is_some_and(is_in_use));
        let policy = |(id, row)| EgressStep::Policy(id, row);
        let mut steps = self.marks(&lost);
        steps.extend(add_hosts);
        steps.extend(add_nets);
        steps.extend(add_names);
        steps.extend(add_resolved);
        let set = |addr| Change::Set(addr, ());
        steps.extend(resolver(set, &wanted.resolvers, &self.resolvers));
        // Nobody is led to a policy that is not there yet: it would refuse.
        steps.extend(fresh.into_iter().map(policy));
        steps.extend(add_ports);
        let (staying, ending) = self.by_use(remove_hosts, wanted);
        let remove = |key| EgressStep::Host(Change::Remove(key));
        // An address that falls to a wider network must not find there what that one loses.
        steps.extend(staying.into_iter().map(remove));
        steps.extend(remove_nets);
        steps.extend(remove_names);
        steps.extend(remove_resolved);
        steps.extend(ending.into_iter().map(remove));
        steps.extend(resolver(Change::Remove, &self.resolvers, &wanted.resolvers));
        steps.extend(remove_ports);
        steps.extend(known.into_iter().map(policy));
        if self.settings != wanted.settings {
            steps.push(EgressStep::Settings(wanted.settings));
        }
        steps
    }

    /// Policies from which an agent was taking something away when it died.
    fn pending(&self) -> BTreeSet<PolicyId> {
        let pending = self
            .policies
            .iter()
            .filter(|(_, row)| row.standing == POLICY_REVOKING);
        pending.map(|(&id, _)| id).collect()
    }

    /// Notes in the policies that something is being taken away, so that it is seen should the
    /// agent die before they get their new generation.
    fn marks(&self, lost: &BTreeSet<PolicyId>) -> Vec<EgressStep> {
        let live = lost
            .iter()
            .filter_map(|id| Some((*id, *self.policies.get(id)?)));
        live.filter(|(_, row)| row.standing == POLICY_IN_USE && row.generation != 0)
            .map(|(id, row)| {
                let standing = POLICY_REVOKING;
                EgressStep::Policy(id, Policy { standing, ..row })
            })
            .collect()
    }

    /// Ports that go before the networks and names do, because something leads to their hosts still; and
    /// those that go after them. Ports without a look at first bytes come first: what one of a network hides
    /// must not be found under a name meanwhile.
    fn by_use(&self, mut removed: Vec<HostKey>, wanted: &Self) -> (Vec<HostKey>, Vec<HostKey>) {
        if removed.is_empty() {
            return (removed, Vec::new());
        }
        let is_open = |key: &HostKey| is_open(self.hosts.get(key));
        removed.sort_by_key(|key| !is_open(key));
        let used = wanted.led_to();
        let stays = |key: &HostKey| used.contains(&(key.policy, key.host));
        let hiding = removed.iter().filter(|key| stays(key) && !is_open(key));
        let hiding: BTreeSet<PolicyId> = hiding.map(|key| key.policy).collect();
        removed
            .into_iter()
            .partition(|key| stays(key) || is_open(key) && hiding.contains(&key.policy))
    }

    /// The hosts that networks and names lead to.
    fn led_to(&self) -> BTreeSet<(PolicyId, HostId)> {
        let nets = self.nets.iter();
        let nets = nets.map(|((net, _), rule)| (net.policy, rule.host));
        let names = self.names.iter().map(|((name, _), rule)| {
            let policy = PolicyId::from(u16::from_le_bytes(name.policy));
            (policy, rule.host)
        });
        nets.chain(names).collect()
    }

    fn host_steps(
        &self,
        wanted: &Self,
        lost: &mut BTreeSet<PolicyId>,
    ) -> (Vec<EgressStep>, Vec<HostKey>) {
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        let mut found = changes(&self.hosts, &wanted.hosts);
        // The other way round than they go.
        found.sort_by_key(|change| match change {
            Change::Set(_, rule) => is_open(Some(rule)),
            Change::Remove(_) => false,
        });
        for change in found {
            let (Change::Set(key, _) | Change::Remove(key)) = &change;
            if self.hosts.contains_key(key) {
                lost.insert(key.policy);
            }
            match change {
                Change::Set(..) => add.push(EgressStep::Host(change)),
                Change::Remove(key) => remove.push(key),
            }
        }
        (add, remove)
    }

    fn net_steps(&self, wanted: &Self, lost: &mut BTreeSet<PolicyId>) -> Both {
        let found = changes(&self.nets, &wanted.nets);
        // A network that appears may be longer than the one that allowed an address before.
        let policies = found.iter().map(|change| change.key().0.policy);
        lost.extend(policies);
        by_length(found, |(_, bits)| *bits, EgressStep::Net)
    }

    fn name_steps(&self, wanted: &Self) -> Both {
        let found = changes(&self.names, &wanted.names);
        by_length(
            found,
            |(_, bits)| *bits,
            |change| {
                EgressStep::Name(match change {
                    Change::Set(key, rule) => Change::Set(Box::new(key), rule),
                    Change::Remove(key) => Change::Remove(Box::new(key)),
                })
            },
        )
    }

    fn resolved_steps(&self, wanted: &Self) -> Both {
        let found = changes(&self.resolved, &wanted.resolved);
        by_length(
            found,
            |_| 0,
            |change| {
                EgressStep::Resolved(match change {
                    Change::Set(key, row) => Change::Set(key, Box::new(row)),
                    Change::Remove(key) => Change::Remove(key),
                })
            },
        )
    }

    fn port_steps(&self, wanted: &Self) -> Both {
        let found = changes(&self.ports, &wanted.ports);
        by_length(
            found,
            |_| 0,
            |change| {
                EgressStep::Port(match change {
                    Change::Set(key, row) => Change::Set(key, Box::new(row)),
                    Change::Remove(key) => Change::Remove(key),
                })
            },
        )
    }

    fn policy_steps<'a>(
        &'a self,
        wanted: &'a Self,
        lost: &'a BTreeSet<PolicyId>,
    ) -> impl Iterator<Item = (PolicyId, Policy)> + 'a {
        let is_wanted = |id: &PolicyId| wanted.policies.get(id).is_some_and(is_in_use);
        let gone = self.policies.iter();
        let gone = gone.filter(move |(id, row)| {
            !is_wanted(id) && (row.standing != POLICY_GONE || lost.contains(id))
        });
        // A policy that is gone refuses, should anybody still lead to it.
        let gone = gone.map(|(&id, live)| {
            let row = Policy {
                standing: POLICY_GONE,
                ..Policy::new(Mode::Enforce, next(live.generation))
            };
            (id, row)
        });
        let wanted = wanted.policies.iter().filter(|(_, row)| is_in_use(row));
        let set = wanted.filter_map(|(&id, policy)| {
            let live = self.policies.get(&id).copied().unwrap_or_default();
            let stricter = live.mode() != policy.mode() && policy.mode() == Mode::Enforce;
            let back = live.generation == 0 || live.standing == POLICY_GONE;
            let revoke = back || stricter || lost.contains(&id);
            let row = Policy {
                generation: if revoke {
                    next(live.generation)
                } else {
                    live.generation
                },
                standing: POLICY_IN_USE,
                ..*policy
            };
            (row != live).then_some((id, row))
        });
        set.chain(gone)
    }
}

/// Whether a port is open without a look at first bytes.
pub(super) fn is_open(rule: Option<&HostRule>) -> bool {
    rule.is_some_and(|rule| rule.check() == Check::Address)
}

/// The generation after one; never 0.
fn next(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}

fn is_in_use(row: &Policy) -> bool {
    row.standing != POLICY_GONE
}

/// Steps that add, and steps that remove.
type Both = (Vec<EgressStep>, Vec<EgressStep>);

/// What is set, longest first; what is removed, shortest first.
fn by_length<K, V>(
    mut found: Vec<Change<K, V>>,
    length: impl Fn(&K) -> u32,
    step: impl Fn(Change<K, V>) -> EgressStep,
) -> Both {
    found.sort_by_key(|change| match change {
        Change::Set(key, _) => i64::from(length(key)).wrapping_neg(),
        Change::Remove(key) => i64::from(length(key)),
    });
    let (add, remove): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|change| matches!(change, Change::Set(..)));
    let add = add.into_iter().map(&step).collect();
    (add, remove.into_iter().map(step).collect())
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
        steps.iter().rev().find_map(of)
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
                EgressStep::Policy(
                    1,
                    Policy {
                        standing: POLICY_REVOKING,
                        generation: 1,
                        ..
                    }
                ),
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
        let [EgressStep::Policy(1, row)] = live.steps(&EgressRows::default())[..] else {
            panic!("{:?}", live.steps(&EgressRows::default()));
        };
        assert_eq!((row.mode(), row.standing), (Mode::Enforce, POLICY_GONE));
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
