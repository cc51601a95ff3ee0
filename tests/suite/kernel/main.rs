//! The kernel programs and the engine, by images made by hand and sockets of real pods.

#[path = "../common/mod.rs"]
mod common;

mod affinity;
mod check;
mod classes;
mod counters;
mod dialled;
mod edge;
mod egress;
mod hello;
mod hooks;
mod refuse;
mod restart;
mod split;
mod uncaged;
mod verdict;
mod veth;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        split::tests(),
        refuse::tests(),
        affinity::tests(),
        classes::tests(),
        dialled::tests(),
        counters::tests(),
        egress::tests(),
        veth::tests(),
        uncaged::tests(),
        hello::tests(),
        restart::tests(),
        edge::tests(),
    ];
    harness::main(Pace::Works, tests.into_iter().flatten().collect())
}
