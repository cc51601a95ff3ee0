//! Rules that look at requests, with an agent as people run it: who answers which request, over which
//! connection, with which client, and what becomes of it while the agent is away.

mod access_log;
mod auto;
mod away;
mod clients;
mod cohort;
mod database;
mod gateway;
mod gateway_log;
mod gateway_tcp;
mod place;
mod stage;
mod tap;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        cohort::tests(),
        away::tests(),
        auto::tests(),
        place::tests(),
        access_log::tests(),
        gateway::tests(),
        gateway_tcp::tests(),
        gateway_log::tests(),
        tap::tests(),
    ];
    harness::main(Pace::Waits, tests.into_iter().flatten().collect())
}
