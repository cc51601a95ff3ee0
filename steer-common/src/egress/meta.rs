//! META: one row of words that concern the whole node.

/// The row of META. Written by the agent, word by word.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// `ABI_VERSION` of the agent that made the maps.
    pub abi: u32,
    /// The generation in force: that of the last plan that was applied to its end.
    pub generation: u32,
    /// Nanoseconds of the monotonic clock when the agent last said that it lives.
    pub heartbeat_ns: u64,
    /// Not 0 if any policy audits or enforces. While it is 0 the egress guard is one look-up of
    /// this word.
    pub egress: u32,
    /// What `connect` and `sendmsg` fail with: 111 ECONNREFUSED, 113 EHOSTUNREACH,
    /// 101 ENETUNREACH, 1 EPERM. Any other number is ECONNREFUSED.
    pub errno: u32,
    /// A learned address is good for at least this long, whatever the answer's TTL says:
    /// applications keep addresses longer than they should.
    pub ttl_min_secs: u32,
    /// And at most this long.
    pub ttl_max_secs: u32,
    /// Events that a CPU may report each second; the rest is counted.
    pub events_per_sec: u32,
    /// The generation that is being applied; 0 while none is. An agent that finds a number here
    /// knows that the one before died on the way.
    pub applying: u32,
}

impl Meta {
    /// Egress off, everything else as it is by default.
    pub const fn new() -> Self {
        Self {
            abi: crate::ABI_VERSION,
            generation: 0,
            heartbeat_ns: 0,
            egress: 0,
            errno: ECONNREFUSED,
            ttl_min_secs: 60,
            ttl_max_secs: 86_400,
            events_per_sec: 100,
            applying: 0,
        }
    }

    /// How long an address of an answer is good for.
    #[inline(always)]
    pub const fn hold_secs(&self, ttl_secs: u32) -> u32 {
        if ttl_secs < self.ttl_min_secs {
            self.ttl_min_secs
        } else if ttl_secs > self.ttl_max_secs {
            self.ttl_max_secs
        } else {
            ttl_secs
        }
    }
}

impl Default for Meta {
    fn default() -> Self {
        Self::new()
    }
}

/// Connection refused.
pub const ECONNREFUSED: u32 = 111;
/// No route to host.
pub const EHOSTUNREACH: u32 = 113;
/// Network is unreachable.
pub const ENETUNREACH: u32 = 101;
/// Operation not permitted.
pub const EPERM: u32 = 1;

const _: () = assert!(size_of::<Meta>() == 40);
