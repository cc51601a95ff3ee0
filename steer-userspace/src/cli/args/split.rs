//! Options for how the weights of `http` rules are kept.

use std::time::Duration;

use clap::ValueEnum;

use super::away::time;
use crate::{
    control::AutoBounds,
    desired::{Settings, SplitMode},
};

/// What is split, and when that is not connections any more.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Weights of http rules")]
pub struct Split {
    /// What is split where the annotation steer.dev/split does not say
    #[arg(long = "split", value_enum, default_value_t, value_name = "MODE")]
    pub mode: Mode,
    /// auto: of how many requests shares are taken, at least
    #[arg(long, value_name = "N", default_value_t = AutoBounds::default().requests,
          value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub auto_requests: u64,
    /// auto: how far apart they are taken, at least
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub auto_every: Duration,
    /// auto: how many percentage points a share may stray from its weight
    #[arg(long, value_name = "POINTS", default_value_t = AutoBounds::default().points, value_parser = points)]
    pub auto_points: f64,
    /// auto: for how long requests are split, at least
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub auto_hold: Duration,
}

/// `--split`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Mode {
    /// Connections, in the kernel
    Connection,
    /// Requests, by the agent
    Request,
    /// Connections for as long as shares of requests are as the weights say
    #[default]
    Auto,
}

impl Split {
    /// When requests are split instead of connections.
    pub(in crate::cli) fn bounds(&self) -> AutoBounds {
        AutoBounds {
            requests: self.auto_requests,
            every: self.auto_every,
            points: self.auto_points,
            hold: self.auto_hold,
        }
    }

    /// Settings with this one.
    pub(in crate::cli) fn settings(&self, settings: Settings) -> Settings {
        Settings {
            split: match self.mode {
                Mode::Connection => SplitMode::Connection,
                Mode::Request => SplitMode::Request,
                Mode::Auto => SplitMode::Auto,
            },
            ..settings
        }
    }
}

fn points(text: &str) -> Result<f64, String> {
    let points: f64 = text
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=100.0).contains(&points) {
        Ok(points)
    } else {
        Err(format!("{text:?} is not between 0 and 100"))
    }
}
