//! Faults on purpose, at every write of an apply: the real agent is killed there, or the kernel
//! refuses it. After each, traffic is as before or as wanted, and the next agent finishes. And what
//! somebody else takes away where the kernel lets them.

mod content;
mod filters;
mod killed;
mod refused;
mod rounds;
mod world;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        killed::tests(),
        refused::tests(),
        rounds::tests(),
        filters::tests(),
    ];
    harness::measure(
        Pace::Works,
        tests.into_iter().flatten().collect(),
        killed::figures,
    )
}
