//! Helm, which `cargo xtask test` provides.

use std::{env, ffi::OsString, process::Command};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use serde_json::Value;
use steer_tests::{bins, need};

/// Where the program is.
const PROGRAM: &str = "STEER_HELM";

/// A test that needs Helm: ignored with the reason where there is none, or failed.
pub(crate) fn test(name: &str, run: fn() -> Result<()>) -> Trial {
    Trial::ignorable_test(name, move || {
        if program().is_none() && !need::no_skip() {
            return Ok(Completion::ignored_with(format!("{PROGRAM} names no helm")));
        }
        run()
            .map(|()| Completion::Completed)
            .map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// A test without it.
pub(crate) fn plain(name: &str, run: fn() -> Result<()>) -> Trial {
    Trial::test(name, move || {
        run().map_err(|error| Failed::from(format!("{error:#}")))
    })
}

fn program() -> Option<OsString> {
    env::var_os(PROGRAM)
}

/// Runs `helm ARGUMENTS` in the checkout; what it complains of is the error.
pub(crate) fn run(arguments: &[&str]) -> Result<String> {
    let program = program().with_context(|| format!("{PROGRAM} names no helm"))?;
    let mut command = Command::new(program);
    command.current_dir(bins::workspace()).args(arguments);
    output(&mut command)
}

/// The chart with values, as objects.
pub(crate) fn render(values: &[&str]) -> Result<Vec<Value>> {
    let mut arguments = vec!["template", "steer", CHART, "--namespace=steer-system"];
    arguments.extend(values);
    documents(&run(&arguments)?)
}

/// Where the chart is.
pub(crate) const CHART: &str = "deploy/helm/steer";

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Documents of YAML, but for empty ones.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>> {
    let read: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| anyhow!("{error}"))?;
    Ok(read.into_iter().filter(|value| !value.is_null()).collect())
}
