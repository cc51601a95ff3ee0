//! The agent on a node of a cluster: an API server that lists and watches as Kubernetes' does, and
//! everything that goes wrong between the two.

mod crowd;
mod elsewhere;
mod feedback;
mod gateway;
mod install;
mod life;
mod rights;
mod rollback;
mod server;
mod stage;
mod timing;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        elsewhere::tests(),
        install::tests(),
        feedback::tests(),
        gateway::tests(),
        crowd::tests(),
        life::tests(),
        rights::tests(),
        rollback::tests(),
        server::tests(),
        timing::tests(),
    ];
    harness::measure(Pace::Works, tests.into_iter().flatten().collect(), || {
        [timing::figures(), crowd::figures()].concat()
    })
}
