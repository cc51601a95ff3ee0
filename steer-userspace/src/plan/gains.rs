//! Ports that a host gains, or loses, in the same plan that takes addresses from it, or gives it some.
//!
//! What both sides allow is allowed first, so that nobody is refused on the way. Where a host gains
//! a port and loses an address at once, that would open the port at that address, which neither side
//! wants: such a gain waits until the address is gone. Where it loses a port and gains an address,
//! the port goes first. Between refusing for a moment and being open for a moment, the guard refuses.

use std::collections::BTreeSet;

use steer_common::egress::{
    Check, HostId, HostKey, HostRule, LearnedKey, Mode, NameKey, NetKey, NetRule, Policy, PolicyId,
    net::NET_NEVER_LEARNED, policy::POLICY_GONE,
};

use super::egress::{EgressRows, is_open};

type Owner = (PolicyId, HostId);

impl EgressRows {
    /// Rows of hosts that gain something while they lose addresses or names.
    pub(super) fn risky_gains(&self, wanted: &Self) -> BTreeSet<HostKey> {
        let gains = wanted.hosts.iter();
        let gains = gains.filter(|(key, rule)| is_more(self.hosts.get(key), rule));
        let gains: BTreeSet<HostKey> = gains.map(|(&key, _)| key).collect();
        if gains.is_empty() {
            return gains;
        }
        let losing = moved(self, wanted);
        let closing = wanted.opening(self);
        let waits = |key: &&HostKey| losing.contains(&owner(key)) || closing.contains(&key.policy);
        let risky: BTreeSet<HostKey> = gains.iter().filter(waits).copied().collect();
        // What one of a network will hide must not be found under a name before it does.
        let is_open = |key: &HostKey| is_open(wanted.hosts.get(key));
        let looked = risky.iter().filter(|key| !is_open(key));
        let hiding: BTreeSet<PolicyId> = looked.map(|key| key.policy).collect();
        let hidden = |key: &HostKey| is_open(key) && hiding.contains(&key.policy);
        gains
            .into_iter()
            .filter(|key| risky.contains(key) || hidden(key))
            .collect()
    }

    /// These rows, without what hosts lose while they gain addresses or names.
    pub(super) fn without_risky_losses(&self, wanted: &Self) -> Self {
        let losses = self.hosts.iter().filter(|(key, rule)| {
            wanted
                .hosts
                .get(key)
                .is_none_or(|new| is_more(Some(new), rule))
        });
        let losses: BTreeSet<HostKey> = losses.map(|(&key, _)| key).collect();
        let mut rows = self.clone();
        rows.forget_unused();
        if losses.is_empty() {
            return rows;
        }
        let gaining = moved(wanted, self);
        let opening = self.opening(wanted);
        for key in losses
            .into_iter()
            .filter(|key| gaining.contains(&owner(key)) || opening.contains(&key.policy))
        {
            rows.restore_host(&key, wanted);
        }
        rows
    }

    /// Drops the rows of policies that are not in use, as an agent leaves them that dies on the way:
    /// they go before anybody is led there.
    fn forget_unused(&mut self) {
        let used = self.policies.iter();
        let used = used.filter(|(_, row)| row.standing != POLICY_GONE);
        let used: BTreeSet<PolicyId> = used.map(|(&id, _)| id).collect();
        self.nets.retain(|(key, _), _| used.contains(&key.policy));
        self.hosts.retain(|key, _| used.contains(&key.policy));
        self.names
            .retain(|(key, _), _| used.contains(&of_name(key)));
        self.resolved.retain(|key, _| used.contains(&key.policy));
    }

    /// Makes a row of `EGRESS_HOSTS` what it is in `other`.
    pub(super) fn restore_host(&mut self, key: &HostKey, other: &Self) {
        match other.hosts.get(key) {
            Some(&rule) => drop(self.hosts.insert(*key, rule)),
            None => drop(self.hosts.remove(key)),
        }
    }

    /// Policies that enforce, and did not in `live`, do not yet.
    pub(super) fn keep_lenient(&mut self, live: &Self) {
        for (id, row) in &mut self.policies {
            let known = live
                .policies
                .get(id)
                .filter(|known| known.standing != POLICY_GONE);
            if let Some(known) = known
                && row.mode() == Mode::Enforce
                && row.standing != POLICY_GONE
            {
                row.mode = known.mode;
            }
        }
    }

    /// These rows, with policies that will enforce no more not enforcing already.
    pub(super) fn eased(&self, wanted: &Self) -> Self {
        let mut rows = self.clone();
        for (id, row) in &mut rows.policies {
            let used = |row: &Policy| row.standing != POLICY_GONE;
            let wanted = wanted.policies.get(id).filter(|wanted| used(wanted));
            if let Some(wanted) = wanted.filter(|wanted| wanted.mode() != Mode::Enforce)
                && used(row)
            {
                row.mode = wanted.mode;
            }
        }
        rows
    }

    /// These rows, with networks closed that go, or change, where a network of which nothing is learned
    /// is around them: what their hosts lose first must not be found under names meanwhile.
    pub(super) fn closed(&self, wanted: &Self) -> Self {
        let mut rows = self.clone();
        let opening = self.opening(wanted);
        let changed = rows.nets.iter_mut().filter(|((key, _), rule)| {
            opening.contains(&key.policy) && !rule.has(NET_NEVER_LEARNED)
        });
        let is_closed = |rule: &NetRule| rule.has(NET_NEVER_LEARNED);
        for ((key, bits), rule) in changed {
            let closes = match wanted.nets.get(&(*key, *bits)) {
                Some(new) => is_closed(new),
                None => [self, wanted]
                    .into_iter()
                    .filter_map(|rows| rows.around(key, *bits).last())
                    .any(is_closed),
            };
            if closes {
                *rule = NetRule {
                    host: 0,
                    flags: NET_NEVER_LEARNED,
                };
            }
        }
        rows
    }

    /// Policies with networks of which nothing is learned, that may be so no longer: names that lose
    /// something must not open it there first.
    fn opening(&self, wanted: &Self) -> BTreeSet<PolicyId> {
        let differs = |one: &Self, other: &Self| -> BTreeSet<PolicyId> {
            let nets = one.nets.iter();
            let moved = nets.filter(|(net, rule)| other.nets.get(net) != Some(rule));
            moved.map(|((key, _), _)| key.policy).collect()
        };
        let nets = self.nets.iter();
        let closed = nets.filter(|(_, rule)| rule.has(NET_NEVER_LEARNED));
        let closed: BTreeSet<PolicyId> = closed.map(|((key, _), _)| key.policy).collect();
        let mut moved = differs(self, wanted);
        moved.extend(differs(wanted, self));
        moved.intersection(&closed).copied().collect()
    }

    /// The networks around a network, the widest first.
    fn around(&self, key: &NetKey, bits: u32) -> impl Iterator<Item = &NetRule> {
        (NetKey::ADDRESS_BITS - 128..bits).filter_map(|bits| {
            let addr = key.addr.masked(bits + 128 - NetKey::ADDRESS_BITS);
            self.nets.get(&(NetKey { addr, ..*key }, bits))
        })
    }
}

/// Whether `new` lets through what `old` does not.
fn is_more(old: Option<&HostRule>, new: &HostRule) -> bool {
    old.is_none_or(|old| old.check() != new.check() && new.check() == Check::Address)
}

/// The hosts that have an address or a name in `from` that they do not have in `to`.
fn moved(from: &EgressRows, to: &EgressRows) -> BTreeSet<Owner> {
    let mut owners = BTreeSet::new();
    for ((key, bits), rule) in &from.nets {
        if to.nets.get(&(*key, *bits)).map(|other| other.host) != Some(rule.host) {
            owners.insert((key.policy, rule.host));
        }
    }
    for ((key, bits), rule) in &to.nets {
        // A narrower network takes addresses from the wider ones.
        if from.nets.get(&(*key, *bits)) != Some(rule) {
            let wider = from.around(key, *bits);
            owners.extend(wider.map(|rule| (key.policy, rule.host)));
        }
    }
    let names = from.names.iter();
    let names = names.filter(|(name, rule)| to.names.get(name) != Some(rule));
    owners.extend(names.map(|((name, _), rule)| (of_name(name), rule.host)));
    for (key, row) in &from.resolved {
        if to.resolved.get(key) != Some(row) {
            let grants = row.grants.iter();
            let owner = |key: &LearnedKey, host| (key.policy, host);
            owners.extend(grants.map(|grant| owner(key, grant.host())));
        }
    }
    owners
}

/// The policy that a name is of.
pub(super) fn of_name(name: &NameKey) -> PolicyId {
    PolicyId::from(u16::from_le_bytes(name.policy))
}

fn owner(key: &HostKey) -> Owner {
    (key.policy, key.host)
}
