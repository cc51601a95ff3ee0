//! How the programs of the lab end.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;

/// Says what went wrong, if anything did, in one line.
pub fn report(program: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a standard error there is nobody to tell.
            let _ = writeln!(io::stderr().lock(), "{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
