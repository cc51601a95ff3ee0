//! `EGRESS_HOSTS`: on which ports a host may be reached, and what its first bytes must say.

use super::policy::PolicyId;
use crate::addr::Port;

/// Number of a host of the registry in the agent's names file: a name, a wildcard, a network, a
/// service. 0 is none.
pub type HostId = u32;

/// Key of `EGRESS_HOSTS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HostKey {
    /// Whose.
    pub policy: PolicyId,
    /// The host.
    pub host: HostId,
    /// The port; `PORT_ANY` for every port that has no row of its own.
    pub port: Port,
    /// IANA's protocol number; ICMP has port 0.
    pub proto: u8,
    /// Always zero.
    pub pad: u8,
}

impl HostKey {
    /// A port of a host, for those of a policy.
    #[inline(always)]
    pub const fn new(policy: PolicyId, host: HostId, port: Port, proto: u8) -> Self {
        Self {
            policy,
            host,
            port,
            proto,
            pad: 0,
        }
    }
}

/// Every port.
pub const PORT_ANY: Port = Port::new(0);

/// What the first bytes of a connection must say.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// Nothing: the address is enough.
    Address = 0,
    /// A TLS `ClientHello` with the name of an allowed host.
    Sni = 1,
    /// An HTTP/1 request for an allowed host.
    Host = 2,
}

impl Check {
    /// From a word of a row. What is not known is the strictest.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Address,
            2 => Self::Host,
            _ => Self::Sni,
        }
    }

    /// The word that listings show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "ip",
            Self::Sni => "sni",
            Self::Host => "host",
        }
    }
}

/// A row of `EGRESS_HOSTS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostRule {
    /// Its own key: an element that is removed is re-used at once, while somebody may be reading
    /// it, and must not speak for another host.
    pub key: HostKey,
    /// `Check` as its number.
    pub check: u32,
    /// The object that allows it, by its number in the agent's names file.
    pub rule: u32,
}

impl HostRule {
    /// The row of a key.
    pub const fn new(key: HostKey, check: Check, rule: u32) -> Self {
        Self {
            key,
            check: check as u32,
            rule,
        }
    }

    /// What the first bytes must say.
    #[inline(always)]
    pub const fn check(&self) -> Check {
        Check::from_word(self.check)
    }
}

const _: () = assert!(size_of::<HostKey>() == 12 && size_of::<HostRule>() == 20);
