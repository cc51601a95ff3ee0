//! The judgement of the egress guard: may a client of this policy reach this peer, and what must
//! its first bytes say. Kernel, `steer explain` and tests run this very function.
//!
//! Fails closed: a row that cannot be found allows nothing.

use core::ptr::read_volatile;

use crate::{
    addr::{Addr, Peer},
    egress::{
        Check, HostId, HostKey, HostRule, Learned, LearnedKey, Mode, NetKey, NetRule, Policy,
        PolicyId, dns::DNS_PORT, host::PORT_ANY, learned::GRANTS, net::NET_NEVER_LEARNED,
    },
    reason::Reason,
};

/// What a client wants to reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Whose judgement it is.
    pub policy: PolicyId,
    /// Where to; the port is 0 for protocols that have none.
    pub peer: Peer,
    /// IANA's protocol number.
    pub proto: u8,
}

/// What the judgement looks up. The kernel reads maps, `steer explain` a copy of them.
pub trait EgressMaps {
    /// POLICIES.
    fn policy(&self, policy: PolicyId) -> Option<&Policy>;
    /// `EGRESS_NETS`: the longest match.
    fn net(&self, key: &NetKey) -> Option<NetRule>;
    /// `EGRESS_HOSTS`.
    fn host(&self, key: &HostKey) -> Option<&HostRule>;
    /// `EGRESS_RESOLVED`.
    fn resolved(&self, key: &LearnedKey) -> Option<&Learned>;
    /// `EGRESS_LEARNED`.
    fn learned(&self, key: &LearnedKey) -> Option<&Learned>;
    /// RESOLVERS.
    fn is_resolver(&self, addr: &Addr) -> bool;
    /// The second of the monotonic clock.
    fn now_secs(&self) -> u32;
}

/// What allowed something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grounds {
    /// Why.
    pub reason: Reason,
    /// What the first bytes must say.
    pub check: Check,
    /// The host that allows it; 0 if none was needed.
    pub host: HostId,
}

impl Grounds {
    const fn of(reason: Reason) -> Self {
        Self {
            reason,
            check: Check::Address,
            host: 0,
        }
    }
}

/// The judgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Judgement {
    /// Let it through.
    Allow(Grounds),
    /// The registry does not name it, and the policy only wants to know.
    Audit(Reason),
    /// Refuse it.
    Refuse(Reason),
}

/// Judges one wish.
#[inline(always)]
pub fn judge<M: EgressMaps>(maps: &M, wish: &Wish) -> Judgement {
    let Some(policy) = maps.policy(wish.policy) else {
        return Judgement::Refuse(Reason::PolicyMissing);
    };
    // SAFETY: a reference is valid. Volatile, because the agent writes the row in place.
    let mode = Mode::from_word(unsafe { read_volatile(&raw const policy.mode) });
    if matches!(mode, Mode::Open) {
        return Judgement::Allow(Grounds::of(Reason::PolicyOpen));
    }
    match grounds(maps, wish) {
        Ok(grounds) => Judgement::Allow(grounds),
        Err(reason) if matches!(mode, Mode::Audit) => Judgement::Audit(reason),
        Err(reason) => Judgement::Refuse(reason),
    }
}

/// What of the registry allows it.
#[inline(always)]
fn grounds<M: EgressMaps>(maps: &M, wish: &Wish) -> Result<Grounds, Reason> {
    let (addr, port) = (wish.peer.addr, wish.peer.port);
    if addr.is_loopback() {
        return Ok(Grounds::of(Reason::Loopback));
    }
    if port == DNS_PORT && matches!(wish.proto, 6 | 17) && maps.is_resolver(&addr) {
        return Ok(Grounds::of(Reason::ToResolver));
    }
    let mut known = false;
    let net = maps.net(&NetKey {
        policy: wish.policy,
        addr,
    });
    if let Some(net) = net {
        if net.host != 0 {
            known = true;
            if let Some(check) = on_port(maps, wish, net.host) {
                return Ok(Grounds {
                    reason: Reason::InNetwork,
                    check,
                    host: net.host,
                });
            }
        }
        if net.has(NET_NEVER_LEARNED) {
            return Err(unnamed(known));
        }
    }
    let key = LearnedKey {
        policy: wish.policy,
        addr,
    };
    let mut ended = false;
    let found = [
        (maps.resolved(&key), Reason::NameResolved),
        (maps.learned(&key), Reason::NameLearned),
    ];
    let mut index = 0;
    while index < found.len() {
        let (learned, reason) = found[index];
        if let Some(learned) = learned {
            match granted(maps, wish, learned) {
                Ok((check, host)) => {
                    return Ok(Grounds {
                        reason,
                        check,
                        host,
                    });
                }
                Err(Denied::Ended) => ended = true,
                Err(Denied::Port) => known = true,
                Err(Denied::Empty) => {}
            }
        }
        index += 1;
    }
    Err(if ended && !known {
        Reason::NameEnded
    } else {
        unnamed(known)
    })
}

const fn unnamed(known: bool) -> Reason {
    if known {
        Reason::PortNotNamed
    } else {
        Reason::NotInRegistry
    }
}

enum Denied {
    Empty,
    Ended,
    Port,
}

/// Whether a host of an address may be reached on this port. One that needs no look at the first
/// bytes comes before one that does.
#[inline(always)]
fn granted<M: EgressMaps>(
    maps: &M,
    wish: &Wish,
    learned: &Learned,
) -> Result<(Check, HostId), Denied> {
    let now_secs = maps.now_secs();
    let mut denied = Denied::Empty;
    let mut best: Option<(Check, HostId)> = None;
    let mut index = 0;
    while index < GRANTS {
        // SAFETY: a reference is valid. Volatile: one word, read once, and before the key below.
        let grant = unsafe { read_volatile(&raw const learned.grants[index]) };
        index += 1;
        if grant.host() == 0 {
            continue;
        }
        if grant.until_secs() <= now_secs {
            if matches!(denied, Denied::Empty) {
                denied = Denied::Ended;
            }
            continue;
        }
        denied = Denied::Port;
        if let Some(check) = on_port(maps, wish, grant.host()) {
            best = Some((check, grant.host()));
            if matches!(check, Check::Address) {
                break;
            }
        }
    }
    // SAFETY: as above. After the grants: an element that was re-used meanwhile has another key.
    let key = unsafe { read_volatile(&raw const learned.key) };
    if key.policy != wish.policy || key.addr != wish.peer.addr {
        return Err(Denied::Empty);
    }
    best.ok_or(denied)
}

/// Whether the host may be reached on this port, and what the first bytes must say.
#[inline(always)]
pub fn on_port<M: EgressMaps>(maps: &M, wish: &Wish, host: HostId) -> Option<Check> {
    let mut key = HostKey {
        policy: wish.policy,
        host,
        port: wish.peer.port,
        proto: wish.proto,
        pad: 0,
    };
    if let Some(rule) = maps.host(&key) {
        return check_of(rule, &key);
    }
    key.port = PORT_ANY;
    check_of(maps.host(&key)?, &key)
}

#[inline(always)]
fn check_of(rule: &HostRule, key: &HostKey) -> Option<Check> {
    let check = rule.check();
    // SAFETY: a reference is valid. Volatile, and after the check: the element may have been re-used.
    let owner = unsafe { read_volatile(&raw const rule.key) };
    (owner == *key).then_some(check)
}

#[cfg(test)]
mod tests;
