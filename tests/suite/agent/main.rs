//! The agent as people run it: the real `steer agent`, files that change, and everything that can
//! be wrong with them or with the machine.

mod churn;
mod configuration;
mod files;
mod layout;
mod life;
mod logs;
mod machine;
mod privilege;
mod rollback;
mod stage;
mod table;
mod truth;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        configuration::tests(),
        machine::tests(),
        files::tests(),
        churn::tests(),
        life::tests(),
        layout::tests(),
        privilege::tests(),
        rollback::tests(),
        truth::tests(),
        logs::tests(),
    ];
    harness::main(Pace::Works, tests.into_iter().flatten().collect())
}
