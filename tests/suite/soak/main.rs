//! A short soak: three rounds of killing the agent under connections, and nothing left in the end.
//! `cargo xtask soak` does twenty, with upgrades to another build and back.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{
    bins,
    harness::{self, Pace, test},
};

const ROUNDS: &str = "3";

fn main() -> ExitCode {
    harness::main(Pace::Works, vec![test("soak::three_rounds", rounds)])
}

fn rounds() -> Result<()> {
    let mut command = Command::new(bins::soak()?);
    let output = command.args(["--rounds", ROUNDS]).output();
    let output = output.context("run the soak")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    for figure in said.lines().filter(|line| line.starts_with("figure ")) {
        // The harness may have closed its output.
        let _closed =
            std::io::Write::write_all(&mut std::io::stdout(), format!("{figure}\n").as_bytes());
    }
    Ok(())
}
