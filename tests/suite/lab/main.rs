//! The lab itself, on the running kernel.

mod agent;
mod servers;
mod teardown;
mod traces;
mod wiring;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        wiring::tests(),
        servers::tests(),
        agent::tests(),
        teardown::tests(),
    ];
    harness::main(Pace::Works, tests.into_iter().flatten().collect())
}
