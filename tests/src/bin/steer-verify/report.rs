//! What is told of a kernel.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde::Serialize;
use steer::kernel::{Features, KernelError, probe};
use steer_tests::bins;

use super::checks::{self, Check};

/// Stands before the report on its line.
pub(super) const MARK: &str = "steer-verify-report:";

/// Exit code of commands on a kernel that will not do.
const UNSUPPORTED: i32 = 69;

/// What was found out about a kernel.
#[derive(Serialize)]
pub(super) struct Report {
    /// What it calls itself.
    release: String,
    /// What `steer doctor` says.
    doctor: Said,
    /// What `steer agent` says, where it must refuse to start.
    agent: Option<Said>,
    features: Option<Shown>,
    /// Why the programs do not load; empty if they do.
    refused: String,
    programs: Vec<Program>,
    checks: Vec<Check>,
}

/// How a command ended.
#[derive(Serialize)]
struct Said {
    code: Option<i32>,
    text: String,
}

/// What the kernel has of what steer can use.
#[derive(Serialize)]
struct Shown {
    netns_cookie_of_packets: bool,
    tcx: bool,
}

#[derive(Serialize)]
struct Program {
    name: &'static str,
    verified: Option<u32>,
    load_us: u64,
}

impl Report {
    /// Asks the doctor, loads every program, and makes the checks. On a kernel that the doctor
    /// refuses, the agent must refuse as well.
    pub(super) fn of_this_kernel() -> Result<Self> {
        let release =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("read the release")?;
        let mut report = Self {
            release: release.trim().to_owned(),
            doctor: say(&["doctor"])?,
            agent: None,
            features: None,
            refused: String::new(),
            programs: Vec::new(),
            checks: Vec::new(),
        };
        match load() {
            Ok((features, programs)) => {
                report.features = Some(features);
                report.programs = programs;
                report.checks = checks::run()?;
            }
            Err(error) => {
                report.refused = format!("{:#}", anyhow::Error::from(error));
                if report.doctor.code == Some(UNSUPPORTED) {
                    report.agent = Some(say(&["agent", "--config", "/run"])?);
                }
            }
        }
        Ok(report)
    }
}

fn load() -> Result<(Shown, Vec<Program>), KernelError> {
    let features = Features::probe()?;
    let programs = probe::load()?.into_iter().map(|loaded| Program {
        name: loaded.name,
        verified: loaded.verified,
        load_us: u64::try_from(loaded.took.as_micros()).unwrap_or(u64::MAX),
    });
    let shown = Shown {
        netns_cookie_of_packets: features.netns_fields.is_none(),
        tcx: features.tcx,
    };
    Ok((shown, programs.collect()))
}

/// Runs `steer` and keeps what it says, without colours.
fn say(arguments: &[&str]) -> Result<Said> {
    let output = Command::new(bins::steer()?)
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .context("run steer")?;
    let text = [output.stdout, output.stderr].concat();
    Ok(Said {
        code: output.status.code(),
        text: String::from_utf8_lossy(&text).trim_end().to_owned(),
    })
}
