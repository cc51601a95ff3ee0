//! META: one row of words that concern the whole node.

/// The row of META. Written by the agent, word by word.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// `ABI_VERSION` of the agent that made the maps.
    pub abi: u32,
    /// The generation in force: that of the last plan that was applied to its end.
    pub generation: u32,
    /// Nanoseconds of the monotonic clock when the agent last said that it lives; 0 when it said that it
    /// goes.
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
    /// For how many milliseconds a heartbeat is good: after that the agent counts as away. 0: it always
    /// counts as there.
    pub heartbeat_ms: u32,
    /// What becomes of connections that need the agent itself while it is away: `AWAY_OPEN` or
    /// `AWAY_CLOSED`. What the kernel decides alone goes on in any case.
    pub when_away: u32,
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
            heartbeat_ms: 0,
            when_away: AWAY_OPEN,
        }
    }

    /// Whether the agent counts as there.
    #[inline(always)]
    pub const fn is_agent_there(&self, now_ns: u64) -> bool {
        // A coarse clock may be behind the one that the agent reads.
        let age = now_ns.saturating_sub(self.heartbeat_ns);
        self.heartbeat_ms == 0
            || (self.heartbeat_ns != 0 && age <= self.heartbeat_ms as u64 * NS_PER_MS)
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

const NS_PER_MS: u64 = 1_000_000;

/// While the agent is away, what needs it goes where it would go without that need.
pub const AWAY_OPEN: u32 = 0;
/// While the agent is away, what needs it is refused.
pub const AWAY_CLOSED: u32 = 1;

/// Connection refused.
pub const ECONNREFUSED: u32 = 111;
/// No route to host.
pub const EHOSTUNREACH: u32 = 113;
/// Network is unreachable.
pub const ENETUNREACH: u32 = 101;
/// Operation not permitted.
pub const EPERM: u32 = 1;

const _: () = assert!(size_of::<Meta>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_there_as_long_as_its_heartbeat_is_good() {
        let second = 1_000_000_000;
        let meta = Meta {
            heartbeat_ns: 10 * second,
            heartbeat_ms: 1_000,
            ..Meta::new()
        };
        for (now, there) in [
            (10 * second, true),
            (11 * second, true),
            (11 * second + 1, false),
            // The programs' clock is behind.
            (9 * second, true),
        ] {
            assert_eq!(meta.is_agent_there(now), there, "{now}");
        }
        let gone = Meta {
            heartbeat_ns: 0,
            ..meta
        };
        assert!(!gone.is_agent_there(0));
        let unwatched = Meta {
            heartbeat_ms: 0,
            ..gone
        };
        assert!(unwatched.is_agent_there(u64::MAX));
    }
}
