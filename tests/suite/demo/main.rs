//! The demonstration without a terminal: it holds, says so, and leaves nothing, also when stopped.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use steer_tests::{
    dirs::Dirs,
    harness::{self, Pace, test},
    lab::Lab,
};

/// The demonstration.
const DEMO: &str = env!("CARGO_BIN_EXE_steer-demo");

fn main() -> ExitCode {
    harness::main(
        Pace::Works,
        vec![
            test("every_step_holds", || holds(&[], &ALL)),
            test("every_step_holds_in_a_cluster", || {
                let of_files = |step: &&&str| **step != "broken";
                let steps: Vec<&str> = ALL.iter().filter(of_files).copied().collect();
                holds(&["--kubernetes"], &steps)
            }),
            test("it_can_be_stopped_at_any_time", stopped),
        ],
    )
}

fn demo(name: &str) -> Command {
    let mut command = Command::new(DEMO);
    command.args(["--name", name]);
    command.stdin(Stdio::null());
    command
}

/// The steps, in order.
const ALL: [&str; 15] = [
    "S1", "S6", "S2", "S3", "S4", "S8", "S5", "S7", "S10", "S9", "live", "broken", "rollback",
    "S11", "S12",
];

fn holds(flags: &[&str], steps: &[&str]) -> Result<()> {
    let name = Lab::fresh_name("demo");
    let output = demo(&name).args(flags).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}{complaint}");
    for step in steps {
        let shown = text
            .lines()
            .any(|line| line.contains(&format!(" s  {step}  ")));
        ensure!(shown, "{step} was not shown: {text}");
    }
    ensure!(!text.contains('\x1b'), "colours without a terminal");
    gone(&name)
}

fn stopped() -> Result<()> {
    let name = Lab::fresh_name("stop");
    let mut child = demo(&name).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("it has an output")?);
    let mut line = String::new();
    while !line.contains("PASS") {
        line.clear();
        ensure!(
            lines.read_line(&mut line)? > 0,
            "it ended before its first check"
        );
    }
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    let status = child.wait()?;
    ensure!(status.code() == Some(130), "{status}");
    // Whoever still held the output would be a process that outlived it.
    lines.read_to_string(&mut line)?;
    gone(&name)
}

fn gone(name: &str) -> Result<()> {
    let dirs = Dirs::new(name)?;
    ensure!(!dirs.run().exists(), "{} is left", dirs.run().display());
    let cgroup = dirs.cgroup();
    ensure!(
        !cgroup.path().exists(),
        "{} is left",
        cgroup.path().display()
    );
    Ok(())
}
