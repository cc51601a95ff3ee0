//! `EGRESS_LEARNED` and `EGRESS_RESOLVED`: which allowed names an address answers to.

use super::{host::HostId, policy::PolicyId};
use crate::addr::Addr;

/// Key of both.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LearnedKey {
    /// Whose.
    pub policy: PolicyId,
    /// The address.
    pub addr: Addr,
}

/// Hosts that one address may stand for at a time.
pub const GRANTS: usize = 8;

/// One host of an address in one word, so that it is read and written whole: the host in the high
/// half, in the low half the second of the monotonic clock at which it ends. 0 is none.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Grant(u64);

/// A grant that does not end.
pub const FOREVER_SECS: u32 = u32::MAX;

impl Grant {
    /// A host until a second.
    #[inline(always)]
    pub const fn new(host: HostId, until_secs: u32) -> Self {
        Self((host as u64) << 32 | until_secs as u64)
    }

    /// The host; 0 for none.
    #[inline(always)]
    pub const fn host(self) -> HostId {
        (self.0 >> 32) as u32
    }

    /// The first second at which it no longer holds.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half, on purpose")]
    pub const fn until_secs(self) -> u32 {
        self.0 as u32
    }
}

/// Value of both.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Learned {
    /// Its own key, before the grants: an element that is evicted is re-used at once, and its
    /// reader finds out by reading the key after the grants.
    pub key: LearnedKey,
    /// Always zero.
    pub pad: u32,
    /// The hosts, in no order.
    pub grants: [Grant; GRANTS],
}

impl Learned {
    /// An address that stands for one host.
    pub const fn one(key: LearnedKey, grant: Grant) -> Self {
        let mut grants = [Grant(0); GRANTS];
        grants[0] = grant;
        Self {
            key,
            pad: 0,
            grants,
        }
    }
}

/// Where a grant goes: over an older one of its host, into a free or ended one, or else over the
/// one that ends first. The second word says that a grant which still held was lost.
#[inline(always)]
pub fn place(learned: &Learned, host: HostId, now_secs: u32) -> (usize, bool) {
    let (mut best, mut best_end, mut lost) = (0, u32::MAX, true);
    let mut index = 0;
    while index < GRANTS {
        let grant = learned.grants[index];
        if grant.host() == host {
            return (index, false);
        }
        let ended = grant.host() == 0 || grant.until_secs() <= now_secs;
        let end = if ended { 0 } else { grant.until_secs() };
        if end < best_end {
            (best, best_end, lost) = (index, end, !ended);
        }
        index += 1;
    }
    (best, lost)
}

const _: () = assert!(size_of::<LearnedKey>() == 20 && size_of::<Learned>() == 88);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_replaces_itself_then_what_ended_then_what_ends_first() {
        let key = LearnedKey {
            policy: 1,
            addr: Addr::default(),
        };
        let mut learned = Learned::one(key, Grant::new(7, 100));
        assert_eq!(place(&learned, 7, 0), (0, false));
        assert_eq!(place(&learned, 8, 0), (1, false));
        for (index, grant) in (0_u32..).zip(&mut learned.grants) {
            *grant = Grant::new(10 + index, 200 - index);
        }
        assert_eq!(place(&learned, 8, 0), (GRANTS - 1, true));
        assert_eq!(place(&learned, 8, 193), (GRANTS - 1, false));
        assert_eq!(place(&learned, 10, 193), (0, false));
    }
}
