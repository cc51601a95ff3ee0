//! `steer agent`.

use super::{Exit, args};

/// Runs the agent until it is told to stop.
pub(super) fn run(_args: args::Agent) -> anyhow::Result<Exit> {
    anyhow::bail!("the agent is being wired")
}
