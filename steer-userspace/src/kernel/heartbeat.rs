//! By what the kernel knows that the agent lives, and what it does while it does not.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use steer_common::egress::{
    Meta,
    meta::{AWAY_CLOSED, AWAY_OPEN},
};

/// What becomes of connections that need the agent itself while it is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenAway {
    /// They go where they would go without that need.
    #[default]
    Open,
    /// They are refused.
    Closed,
}

impl WhenAway {
    /// As META has it.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Open => AWAY_OPEN,
            Self::Closed => AWAY_CLOSED,
        }
    }
}

/// What is asked of the agent.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// For how long one is good.
    pub good_for: Duration,
    /// What is to happen after that.
    pub when_away: WhenAway,
}

impl Heartbeat {
    /// How often it is due: one may be late, or two.
    pub fn every(&self) -> Duration {
        self.good_for / 4
    }
}

/// The nanosecond of the monotonic clock, by which heartbeats are counted.
pub fn now_ns() -> u64 {
    let clock = clock_gettime(ClockId::CLOCK_MONOTONIC);
    let now = clock.map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// How old the last heartbeat is, if it is older than it may be.
pub fn overdue(meta: &Meta, now_ns: u64) -> Option<Duration> {
    let late = !meta.is_agent_there(now_ns);
    late.then(|| Duration::from_nanos(now_ns.saturating_sub(meta.heartbeat_ns)))
}
