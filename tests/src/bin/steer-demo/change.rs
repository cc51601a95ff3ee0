//! Weights changed, broken, mended and rolled back while a client keeps connecting.

use std::time::Instant;

use anyhow::Result;

use crate::{
    clients::Steady,
    tally::{Tally, Windows},
    walk::{CATALOG, Walk},
};

/// Connections looked at after each change.
const LOOK: usize = 300;

impl Walk<'_> {
    /// The weights change while connections are made, and none of them fails.
    pub(crate) fn change_while_connections_flow(&mut self) -> Result<()> {
        let steady = Steady::start(self.client()?, CATALOG)?;
        self.new_weights(&steady)?;
        // In a cluster a text that is no YAML is refused before it is anywhere.
        if self.stage.is_of_files() {
            self.broken_file(&steady)?;
        }
        self.roll_back(&steady)?;
        let (made, failed) = steady.stop()?;
        self.report.measured(&format!(
            "the client that kept asking: {made} requests, a new connection each, {} failed",
            failed.len()
        ))?;
        for error in failed.iter().take(5) {
            self.report.measured(error)?;
        }
        self.report.check(
            "no connection failed while the weights changed",
            failed.is_empty(),
        )
    }

    fn new_weights(&mut self, steady: &Steady) -> Result<()> {
        self.report.step(
            "live",
            "weights changed to 50/50 in the file while a client keeps asking",
        )?;
        self.flows(steady, "before the change", 90, 10)?;
        let written = Instant::now();
        self.route("split-50-50.yaml")?;
        let weights = self.weights_in_force()?;
        let shown = written.elapsed().as_secs_f64() * 1e3;
        self.report.measured(&format!(
            "`steer get routes` showed it {shown:.1} ms after the write"
        ))?;
        self.flows(steady, "after the change", 50, 50)?;
        self.asked(&["get", "routes", "catalog"])?;
        self.report.check(
            "the kernel holds equal weights",
            weights.len() == 2 && weights[0] == weights[1],
        )
    }

    fn broken_file(&mut self, steady: &Steady) -> Result<()> {
        self.report
            .step("broken", "a file that is no YAML changes nothing")?;
        let good = Self::text("split-50-50.yaml")?;
        let took = self
            .stage
            .break_route(&good.replacen("weight: 50", "weight: [50", 1))?;
        let took = took.as_secs_f64() * 1e3;
        self.report.applied(&format!(
            "the same file with `weight: [50`; the agent refused it {took:.1} ms after the write"
        ))?;
        let code = self.asked(&["check"])?;
        self.report.check(
            "`steer check` says where the file is broken, and fails",
            code == 79,
        )?;
        self.flows(steady, "the last good configuration stays in force", 50, 50)?;
        self.route("split-50-50.yaml")?;
        let code = self.asked(&["check"])?;
        self.report
            .check("mended, and nothing is left to complain of", code == 0)
    }

    fn roll_back(&mut self, steady: &Steady) -> Result<()> {
        self.report.step("rollback", "the 90/10 file is put back")?;
        self.route("split-90-10.yaml")?;
        self.flows(steady, "after the rollback", 90, 10)?;
        self.asked(&["get", "routes", "catalog"])?;
        let weights = self.weights_in_force()?;
        self.report.check(
            "the kernel holds 90 and 10 again",
            weights.len() == 2 && weights[0] == 9 * weights[1],
        )
    }

    /// The next connections of the client that keeps asking have these shares in every window of 100.
    fn flows(&mut self, steady: &Steady, when: &str, v1: u64, v2: u64) -> Result<()> {
        let versions = steady.next(LOOK)?;
        let windows = Windows::of(&versions, &Tally::from_shares(&[("v1", v1), ("v2", v2)]));
        self.measured(&format!("python3 http.client, {when}"), &versions)?;
        self.report.check(
            &format!("{when}: {v1} and {v2} in every window of 100 ({windows})"),
            windows.exact(),
        )
    }
}
