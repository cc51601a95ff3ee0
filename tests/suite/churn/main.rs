//! Weights and endpoints change many times a second while clients connect: every connection lands on
//! an endpoint that its service had at that moment.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the suite `kernel` uses all of it")]
mod common;

mod chance;
mod history;
mod run;
mod world;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [history::tests(), run::tests()];
    harness::measure(
        Pace::Works,
        tests.into_iter().flatten().collect(),
        run::figures,
    )
}
