//! The command `steer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    steer::cli::main()
}
