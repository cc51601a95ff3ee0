//! `EGRESS_NETS`: networks and single addresses that the registry names, and those whose names are
//! never believed.

use super::{host::HostId, policy::PolicyId};
use crate::addr::Addr;

/// Data of a key of `EGRESS_NETS`, a trie of longest prefixes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetKey {
    /// Whose; always matched in full.
    pub policy: PolicyId,
    /// The network's address, IPv4 mapped, zero behind the prefix.
    pub addr: Addr,
}

/// Prefix bits of the policy.
const POLICY_BITS: u32 = 32;
/// Prefix bits of an IPv4-mapped address before the IPv4 part.
const MAPPED_BITS: u32 = 96;

impl NetKey {
    /// Prefix length of one address.
    pub const ADDRESS_BITS: u32 = POLICY_BITS + 128;

    /// Prefix length of a network of `bits` bits, as its family counts them.
    pub const fn prefix(addr: Addr, bits: u32) -> u32 {
        if addr.is_v4() {
            POLICY_BITS + MAPPED_BITS + bits
        } else {
            POLICY_BITS + bits
        }
    }
}

/// What a name resolves to in this network is never learned: loopback, link-local and cluster
/// addresses, against rebinding.
pub const NET_NEVER_LEARNED: u32 = 1 << 0;

/// A row of `EGRESS_NETS`. The trie returns the longest match only, so each row says everything
/// about its addresses, what shorter ones say among it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetRule {
    /// Whose ports apply (`EGRESS_HOSTS`); 0: none, no port may be reached by this row.
    pub host: HostId,
    /// `NET_*`.
    pub flags: u32,
}

impl NetRule {
    /// Whether all bits of `flag` are set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }
}

const _: () = assert!(size_of::<NetKey>() == 20 && size_of::<NetRule>() == 8);
