//! Tests that need a kernel: run when they can, else ignored with the reason, or failed.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{lab::Lab, need};

/// A test that raises labs.
pub fn test(name: &str, run: fn() -> Result<()>) -> Trial {
    Trial::ignorable_test(name, move || {
        if let Err(missing) = need::check() {
            return if need::no_skip() {
                Err(Failed::from(format!("{missing:#}")))
            } else {
                Ok(Completion::ignored_with(format!("{missing:#}")))
            };
        }
        run()
            .map(|()| Completion::Completed)
            .map_err(|error| Failed::from(format!("{error:?}")))
    })
}

/// Runs a suite. What crashed runs left is swept first.
pub fn main(trials: Vec<Trial>) -> ExitCode {
    let arguments = Arguments::from_args();
    if need::check().is_ok()
        && let Err(error) = Lab::sweep_stale()
    {
        return crate::exit::report("sweep", Err(error));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
