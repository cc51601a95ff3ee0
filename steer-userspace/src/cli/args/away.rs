//! Options for when the agent is away.

use std::time::Duration;

use clap::ValueEnum;

use crate::kernel::{self, Heartbeat};

/// What the kernel does when the agent no longer says that it lives.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "When the agent is away")]
pub struct Away {
    /// The agent counts as away when it has not said for so long that it lives
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub heartbeat_timeout: Duration,
    /// What becomes of connections that need the agent itself meanwhile; what the kernel decides
    /// alone goes on in any case
    #[arg(long, value_enum, default_value_t, value_name = "MEANING")]
    pub when_away: WhenAway,
}

/// `--when-away`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum WhenAway {
    /// They go where they would go without that need
    #[default]
    Open,
    /// They are refused
    Closed,
}

impl Away {
    /// What is asked of the agent.
    pub(in crate::cli) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            good_for: self.heartbeat_timeout,
            when_away: match self.when_away {
                WhenAway::Open => kernel::WhenAway::Open,
                WhenAway::Closed => kernel::WhenAway::Closed,
            },
        }
    }
}

/// A time that a heartbeat can be good for, or a judgement waits.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const BOUNDS: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_hours(1);
    let wrong = || format!("{text:?} is not a time between 100ms and 1h, e.g. 2s");
    let time: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let time = Duration::try_from(time).map_err(|_| wrong())?;
    if BOUNDS.contains(&time) {
        Ok(time)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_bounds() {
        assert_eq!(time("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "2", "-2s", "0s", "99ms", "2h", "soon"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
