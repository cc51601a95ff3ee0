//! The judgement of the egress guard: may a client of this policy reach this peer, and what must
//! its first bytes say. Kernel, `steer explain` and tests run this very function.
//!
//! Fails closed: a row that cannot be found allows nothing.

use core::ptr::read_volatile;

use crate::{
    addr::{Addr, Peer},
    egress::{
        Check, Grant, HostId, HostKey, HostRule, Learned, LearnedKey, Mode, NetKey, NetRule,
        Policy, PolicyId, dns::DNS_PORT, host::PORT_ANY, learned::GRANTS, net::NET_NEVER_LEARNED,
    },
    reason::Reason,
};

/// What a client wants to reach. Of whole words: it is handed to a function of its own.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Whose judgement it is.
    pub policy: PolicyId,
    /// Where to; the port is 0 for protocols that have none.
    pub peer: Peer,
    /// IANA's protocol number.
    pub proto: u32,
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
    /// What the names of an address allow. In the kernel, a function of its own.
    #[inline(always)]
    fn granted(&self, wish: &Wish, names: Names) -> Granted
    where
        Self: Sized,
    {
        granted(self, wish, names)
    }
}

/// Whose names.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// `EGRESS_RESOLVED`.
    Resolved = 0,
    /// `EGRESS_LEARNED`.
    Learned = 1,
}

/// What the names of an address allow, in one word: what the first bytes must say, and the host;
/// or how near it came.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granted(u64);

impl Granted {
    /// No name has the address.
    pub const UNKNOWN: Self = Self(0);
    /// One had it, and its time is over.
    pub const ENDED: Self = Self(1);
    /// One has it, and not with this port.
    pub const PORT: Self = Self(2);

    #[inline(always)]
    const fn allow(check: Check, host: HostId) -> Self {
        Self((3 + check as u64) | ((host as u64) << 32))
    }

    /// From the word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The nearer of two; of two that allow, the later.
    #[inline(always)]
    const fn or(self, later: Self) -> Self {
        if later.0 > Self::PORT.0 || later.0 > self.0 {
            later
        } else {
            self
        }
    }

    /// Whether none can be better: allowed, and without a look at the first bytes.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    const fn is_final(self) -> bool {
        self.0 as u32 == 3 + Check::Address as u32
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    const fn allowed(self) -> Option<(Check, HostId)> {
        let low = self.0 as u32;
        if low < 3 {
            return None;
        }
        Some((Check::from_word(low - 3), (self.0 >> 32) as u32))
    }
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

const TCP: u32 = 6;
const UDP: u32 = 17;

/// A judgement in one word, as functions of the kernel hand it over.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruling(u64);

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Let it through.
    Allow,
    /// Let it through and report it.
    Audit,
    /// Refuse it.
    Refuse,
}

impl Ruling {
    /// From the word.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// What to do. A word that nobody made refuses.
    #[inline(always)]
    pub const fn rule(self) -> Rule {
        match self.0 & 0xff {
            1 => Rule::Allow,
            2 => Rule::Audit,
            _ => Rule::Refuse,
        }
    }

    /// The number of the reason.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "16 bits")]
    pub const fn reason(self) -> u32 {
        (self.0 >> 16) as u32 & 0xffff
    }

    /// What the first bytes must say.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "8 bits")]
    pub const fn check(self) -> Check {
        Check::from_word((self.0 >> 8) as u32 & 0xff)
    }
}

impl From<Judgement> for Ruling {
    #[inline(always)]
    fn from(judgement: Judgement) -> Self {
        let (rule, check, reason) = match judgement {
            Judgement::Allow(grounds) => (1, grounds.check as u64, grounds.reason),
            Judgement::Audit(reason) => (2, 0, reason),
            Judgement::Refuse(reason) => (3, 0, reason),
        };
        Self(rule | check << 8 | u64::from(reason.index()) << 16)
    }
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
        // A datagram has no first bytes that could be looked at.
        Ok(grounds) if wish.proto == UDP && !matches!(grounds.check, Check::Address) => {
            match mode {
                Mode::Audit => Judgement::Audit(Reason::Quic),
                Mode::Enforce | Mode::Open => Judgement::Refuse(Reason::Quic),
            }
        }
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
    if port == DNS_PORT && (wish.proto == TCP || wish.proto == UDP) && maps.is_resolver(&addr) {
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
    let mut ended = false;
    let sources = [
        (Names::Resolved, Reason::NameResolved),
        (Names::Learned, Reason::NameLearned),
    ];
    let mut index = 0;
    while index < sources.len() {
        let (names, reason) = sources[index];
        index += 1;
        let granted = maps.granted(wish, names);
        if let Some((check, host)) = granted.allowed() {
            return Ok(Grounds {
                reason,
                check,
                host,
            });
        }
        ended |= granted == Granted::ENDED;
        known |= granted == Granted::PORT;
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

/// Whether a host of an address may be reached on this port. One that needs no look at the first
/// bytes comes before one that does.
#[inline(always)]
pub fn granted<M: EgressMaps>(maps: &M, wish: &Wish, names: Names) -> Granted {
    let key = LearnedKey {
        policy: wish.policy,
        addr: wish.peer.addr,
    };
    let learned = match names {
        Names::Resolved => maps.resolved(&key),
        Names::Learned => maps.learned(&key),
    };
    let Some(learned) = learned else {
        return Granted::UNKNOWN;
    };
    let now_secs = maps.now_secs();
    let mut best = Granted::UNKNOWN;
    let mut index = 0;
    // One way round: Linux 6.1 refuses a loop that is also entered in the middle ("back-edge from
    // insn", for anything but a jump), which is what LLVM makes of one with several `continue`s.
    while index < GRANTS {
        // SAFETY: a reference is valid. Volatile: one word, read once, and before the key below.
        let grant = unsafe { read_volatile(&raw const learned.grants[index]) };
        best = best.or(offered(maps, wish, grant, now_secs));
        if best.is_final() {
            break;
        }
        index += 1;
    }
    // SAFETY: as above. After the grants: an element that was re-used meanwhile has another key.
    let owner = unsafe { read_volatile(&raw const learned.key) };
    if owner == key { best } else { Granted::UNKNOWN }
}

/// What one grant of an address allows.
#[inline(always)]
fn offered<M: EgressMaps>(maps: &M, wish: &Wish, grant: Grant, now_secs: u32) -> Granted {
    if grant.host() == 0 {
        return Granted::UNKNOWN;
    }
    if grant.until_secs() <= now_secs {
        return Granted::ENDED;
    }
    match on_port(maps, wish, grant.host()) {
        Some(check) => Granted::allow(check, grant.host()),
        None => Granted::PORT,
    }
}

/// Whether a host, whose name the first bytes carry, may be reached at this address and port: one
/// of the hosts that the address stands for. Addresses that the registry names itself (networks) stand
/// for every host that has the port, for nobody says which.
#[inline(always)]
pub fn stands<M: EgressMaps>(maps: &M, wish: &Wish, host: HostId) -> bool {
    if host == 0 || on_port(maps, wish, host).is_none() {
        return false;
    }
    let addr = wish.peer.addr;
    let policy = wish.policy;
    if let Some(net) = maps.net(&NetKey { policy, addr })
        && net.host != 0
        && on_port(maps, wish, net.host).is_some()
    {
        return true;
    }
    has_grant(maps, wish, host, Names::Resolved) || has_grant(maps, wish, host, Names::Learned)
}

/// Seconds that a grant holds for first bytes beyond its end: the connection was opened within it.
const HELLO_SECS: u32 = 60;

/// Whether an address stands for a host, by its names.
#[inline(always)]
fn has_grant<M: EgressMaps>(maps: &M, wish: &Wish, host: HostId, names: Names) -> bool {
    let key = LearnedKey {
        policy: wish.policy,
        addr: wish.peer.addr,
    };
    let learned = match names {
        Names::Resolved => maps.resolved(&key),
        Names::Learned => maps.learned(&key),
    };
    let Some(learned) = learned else {
        return false;
    };
    let now_secs = maps.now_secs();
    let mut index = 0;
    while index < GRANTS {
        // SAFETY: a reference is valid. Volatile: one word, read once, and before the key below.
        let grant = unsafe { read_volatile(&raw const learned.grants[index]) };
        if grant.host() == host && grant.until_secs().saturating_add(HELLO_SECS) > now_secs {
            // SAFETY: as above. After the grant: an element that was re-used meanwhile has another
            // key.
            return unsafe { read_volatile(&raw const learned.key) } == key;
        }
        index += 1;
    }
    false
}

/// Whether the host may be reached on this port, and what the first bytes must say.
#[inline(always)]
pub fn on_port<M: EgressMaps>(maps: &M, wish: &Wish, host: HostId) -> Option<Check> {
    let mut key = HostKey {
        policy: wish.policy,
        host,
        port: wish.peer.port,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "IANA's numbers have 8 bits"
        )]
        proto: wish.proto as u8,
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

const _: () = assert!(size_of::<Wish>() == 28);

#[cfg(test)]
mod tests;
