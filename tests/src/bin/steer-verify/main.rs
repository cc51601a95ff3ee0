//! `steer-verify`: what steer can do on the kernel it runs on. As the first process of a guest it
//! makes itself at home first, and turns the machine off at the end.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use steer_tests::exit;

mod checks;
mod guest;
mod report;

use report::Report;

/// Said once the guest is at home.
const AWAKE: &str = "steer-verify-awake";

fn main() -> ExitCode {
    let guest = std::process::id() == 1;
    let outcome = examine(guest);
    if guest {
        let said = exit::report("steer-verify", outcome);
        guest::power_off();
        return said;
    }
    exit::report("steer-verify", outcome)
}

/// Looks at this kernel and tells in one line, behind a word by which it is found on a console.
fn examine(guest: bool) -> Result<()> {
    if guest {
        guest::settle()?;
        // One that dies earlier is booted again.
        writeln!(io::stdout().lock(), "{AWAKE}")?;
    }
    let report = Report::of_this_kernel()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\n{} {}",
        report::MARK,
        serde_json::to_string(&report)?
    )?;
    Ok(())
}
