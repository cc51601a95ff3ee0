//! The command `kubectl steer`: kubectl runs what is called `kubectl-steer` on PATH.

use std::process::ExitCode;

fn main() -> ExitCode {
    steer::cli::plugin()
}
