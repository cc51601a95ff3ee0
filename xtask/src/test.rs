//! `cargo xtask test`: every layer, from arithmetic to real connections, and one count at the end.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Result, bail};

use crate::{
    build_ebpf, harness, manifests,
    process::{colours, is_root, lines, paint, say},
    setup::{self, Group},
    workspace::{Metadata, TESTS, cargo},
};

mod count;
mod failures;

use count::Count;
use failures::Failures;

/// Run every layer of the tests, or one suite
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `unit`, `doc`, or a suite of the tests' package (`--list` names them); all if absent
    suite: Option<String>,

    /// Only tests whose name contains this
    filter: Option<String>,

    /// Full counts instead of short ones: hours instead of minutes
    #[arg(long)]
    full: bool,

    /// Build with all optimisations
    #[arg(long)]
    release: bool,

    /// Name the suites and stop
    #[arg(long)]
    list: bool,

    /// A cluster's kubeconfig, for the suite `cluster`: only the tests that can share one, which write
    /// into a namespace of their own and remove it
    #[arg(long, value_name = "FILE", requires = "suite")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
}

/// Tests without a kernel: unit, golden and property tests.
const UNIT: &str = "unit";
/// What an agent does on an API server.
const CLUSTER: &str = "cluster";
/// Those of its tests that run on anybody's.
const ELSEWHERE: &str = "elsewhere::";
/// What needs Helm.
const DEPLOY: &str = "deploy";
/// What needs a browser.
const DASHBOARD: &str = "dashboard";
/// Examples in the documentation.
const DOC: &str = "doc";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let metadata = Metadata::read()?;
    let mut layers = vec![UNIT.to_owned(), DOC.to_owned()];
    layers.extend(metadata.targets(TESTS, "test"));
    if args.list {
        for layer in &layers {
            println!("{layer}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(suite) = &args.suite {
        if !layers.contains(suite) {
            bail!(
                "there is no suite {suite}; there are: {}",
                layers.join(", ")
            );
        }
        layers.retain(|layer| layer == suite);
    }
    if args.kubeconfig.is_some() && layers != [CLUSTER] {
        bail!(
            "--kubeconfig is for the suite {CLUSTER}: cargo xtask test {CLUSTER} --kubeconfig FILE"
        );
    }
    setup::ensure(&[Group::Build, Group::Test])?;
    if layers.iter().any(|layer| layer == DASHBOARD)
        && let Err(error) = setup::ensure(&[Group::Browser])
    {
        // Where there is none, the tests that need it say so.
        say(&format!("no browser: {error:#}"));
    }
    build_ebpf::build_and_gate()?;
    let steer = harness::build_steer(&metadata, args.release)?;

    if layers.len() > 1 {
        build(&metadata.targets(TESTS, "test"), args)?;
    }
    let mut total = Count::default();
    let mut failed = Vec::new();
    let mut failures = Failures::default();
    for layer in &layers {
        say(&format!("{layer} tests"));
        let mut counts = Vec::new();
        let mut ok = lines(&mut command(layer, args, &metadata, &steer), |line| {
            println!("{line}");
            counts.extend(Count::read(line));
            failures.read(line);
        })?;
        let mut count: Count = counts.iter().copied().sum();
        if counts.is_empty() || (!ok && count.failed == 0) {
            // It did not build, or died before it could count.
            ok = false;
            count.failed += 1;
        }
        if !ok {
            failed.push(layer.as_str());
        }
        total += count;
    }
    if layers.len() > 1 {
        repeat(&failures);
    }
    Ok(conclude(total, &failed, args))
}

/// Builds all suites at once: linking one after the other would leave cores idle. What does not build is
/// said again, and counted, where it is run.
fn build(suites: &[String], args: &Args) -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-run"]);
    // Selected as they are when they are run: with other targets beside them cargo builds others.
    command.args(suites.iter().flat_map(|suite| ["--test", suite]));
    if args.release {
        command.arg("--release");
    }
    lines(&mut command, |line| println!("{line}")).map(drop)
}

/// What failed far above.
fn repeat(failures: &Failures) {
    if failures.lines().is_empty() {
        return;
    }
    say("what failed, once more:");
    for line in failures.lines() {
        println!("{line}");
    }
}

/// The last line is the count alone; what went wrong stands before it.
fn conclude(total: Count, failed: &[&str], args: &Args) -> ExitCode {
    if !failed.is_empty() {
        say(&paint("1;31", &format!("failed: {}", failed.join(", "))));
    }
    if total.skipped > 0 {
        say(&format!(
            "{} tests were skipped: each says why above",
            total.skipped
        ));
    }
    let nothing = total == Count::default();
    if nothing && let Some(filter) = &args.filter {
        say(&format!("no test is named like {filter}"));
    }
    println!("{total}");
    let skipped = total.skipped > 0 && skips_fail();
    if failed.is_empty() && !nothing && !skipped {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The command of one layer; always with the whole workspace selected, as the builds are.
fn command(layer: &str, args: &Args, metadata: &Metadata, steer: &Path) -> Command {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    match layer {
        UNIT => {
            command.args(["--lib", "--bins"]);
            for name in metadata.targets_beside(TESTS, "test") {
                command.args(["--test", &name]);
            }
        }
        DOC => {
            command.arg("--doc");
        }
        suite => {
            command.args(["--test", suite]);
            if !is_root() {
                // Only the suite gets root, not the compiler.
                command.args(["--config", r#"target."cfg(all())".runner=["sudo","-E"]"#]);
            }
        }
    }
    if args.release {
        command.arg("--release");
    }
    command.env("STEER_BIN", steer);
    if layer == DEPLOY
        && let Some(helm) = helm()
    {
        command.env("STEER_HELM", helm);
    }
    if skips_fail() {
        command.env("STEER_NO_SKIP", "1");
    } else {
        command.env_remove("STEER_NO_SKIP");
    }
    if args.full {
        command.env("STEER_FULL", "1");
    }
    let mut filter = args.filter.as_deref();
    if let Some(path) = &args.kubeconfig {
        // Suites run in the directory of their package.
        command.env(
            "STEER_KUBECONFIG",
            std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        );
        command.envs(args.context.iter().map(|name| ("STEER_CONTEXT", name)));
        filter = filter.or(Some(ELSEWHERE));
    }
    command.arg("--").args(filter);
    if colours() {
        command.arg("--color=always");
    }
    command
}

/// Where there is none, the tests that need it say so.
fn helm() -> Option<PathBuf> {
    manifests::provide()
        .inspect_err(|error| say(&format!("no helm: {error:#}")))
        .ok()
}

/// A test that cannot run here is a failure, unless `STEER_NO_SKIP=0` says otherwise.
fn skips_fail() -> bool {
    std::env::var("STEER_NO_SKIP").map_or(true, |value| value != "0")
}
