//! POLICIES and ALLOWED: how strict a policy is, and which sockets it let through.

use crate::addr::Peer;

/// Number of an egress policy, an index of POLICIES.
pub type PolicyId = u32;

/// Policy 0: that of every client nobody has said anything about, a pod that the agent has not
/// seen yet among them.
pub const POLICY_DEFAULT: PolicyId = 0;

/// What a policy does with traffic that the registry does not name.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Refuses it (`REGISTRY_ONLY`). 0, so that a row nobody has written refuses.
    Enforce = 0,
    /// Lets it through (`ALLOW_ANY`).
    Open = 1,
    /// Lets it through, counts and reports it.
    Audit = 2,
}

impl Mode {
    /// From a word of a row. What is not known refuses.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        match word {
            1 => Self::Open,
            2 => Self::Audit,
            _ => Self::Enforce,
        }
    }

    /// The word that listings show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// A policy as it is wanted.
pub const POLICY_IN_USE: u32 = 0;
/// The agent is taking something away: should it die before the generation goes up, the next agent
/// sees that it must.
pub const POLICY_REVOKING: u32 = 1;
/// Nobody has this policy any more. Its generation stays, for the day it comes back: what it let
/// through before is judged again then.
pub const POLICY_GONE: u32 = 2;

/// A row of POLICIES.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// `Mode` as its number.
    pub mode: u32,
    /// Goes up whenever the policy takes something away: sockets and flows that an older
    /// generation let through are judged again. Never 0 in a row that is in use.
    pub generation: u32,
    /// The rule that made it, by its number in the agent's names file.
    pub rule: u32,
    /// `POLICY_*`. The kernel does not look at it.
    pub standing: u32,
}

impl Policy {
    /// A policy of some mode.
    pub const fn new(mode: Mode, generation: u32) -> Self {
        Self {
            mode: mode as u32,
            generation,
            rule: 0,
            standing: POLICY_IN_USE,
        }
    }

    /// How strict it is.
    #[inline(always)]
    pub const fn mode(&self) -> Mode {
        Mode::from_word(self.mode)
    }
}

/// A row of ALLOWED.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AllowedSocket {
    /// The kernel's cookie of the socket, with the highest bit once it is closed; 0 if the row was
    /// never taken.
    pub socket: u64,
    /// Odd while the row is being written, another even number afterwards.
    pub turn: u32,
    /// What is known of the socket.
    pub allowed: Allowed,
}

/// connect let a socket reach `peer`, and packets to it need no second judgement while the
/// generation holds.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// Where packets go: the endpoint, if the socket was steered.
    pub peer: Peer,
    /// Whose judgement it was.
    pub policy: PolicyId,
    /// The policy's generation then.
    pub generation: u32,
}

const _: () = assert!(size_of::<Policy>() == 16 && size_of::<Allowed>() == 28);
const _: () = assert!(size_of::<AllowedSocket>() == 40);
