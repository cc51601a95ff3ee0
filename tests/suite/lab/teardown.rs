//! A lab goes without a trace, whichever way it ends.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::Trial;
use nix::sched::{CloneFlags, unshare};
use steer_tests::{dirs::Dirs, harness::test, lab::Lab, topology};

use crate::traces::{Traces, namespaces};

/// Hosts of the bookstore.
const KEEPERS: usize = 8;
/// Servers on them.
const SERVERS: usize = 6;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("teardown::a_lab_goes_without_a_trace", without_a_trace),
        test(
            "teardown::a_lab_that_cannot_be_finished_goes_too",
            unfinished,
        ),
        test("teardown::a_crashed_lab_is_swept", crashed),
        test("teardown::a_living_lab_is_not_swept", living),
        test("teardown::a_kept_lab_is_visited_and_taken_down", kept),
    ]
}

/// Runs `work` as if on a machine of its own: nobody else makes interfaces there.
fn on_a_quiet_host(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    thread::scope(|scope| {
        let quiet = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            work()
        });
        quiet
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the test panicked")))
    })
}

fn without_a_trace() -> Result<()> {
    on_a_quiet_host(|| {
        let name = Lab::fresh_name("trace");
        let before = Traces::of(&name, &BTreeSet::new())?;
        let lab = topology::bookstore(&name)?;
        let nets = namespaces(&lab)?;
        // A pin, a cgroup below a pod's, and a process that nobody waits for.
        fs::create_dir_all(lab.dirs().pins().join("v1"))?;
        fs::create_dir(lab.pod("client")?.cgroup().path().join("inner"))?;
        let mut sleeper = lab.pod("client")?.command("sleep")?.arg("1000").spawn()?;
        let during = Traces::of(&name, &nets)?;
        ensure!(
            during.processes.len() == KEEPERS + SERVERS + 1,
            "{:?}",
            during.processes
        );
        ensure!(during.cgroups.len() >= KEEPERS, "{:?}", during.cgroups);
        ensure!(during.mounts.len() == 1, "{:?}", during.mounts);
        ensure!(!during.namespaces.is_empty() && !during.directories.is_empty());
        ensure!(
            during.interfaces == before.interfaces,
            "the host got {:?}",
            during.interfaces
        );
        drop(lab);
        sleeper.wait()?;
        let after = Traces::of(&name, &nets)?;
        ensure!(after == before, "before {before:#?}, after {after:#?}");
        Ok(())
    })
}

fn unfinished() -> Result<()> {
    let name = Lab::fresh_name("half");
    // The second host wants the first one's address route: the kernel refuses it.
    let address = || [[10, 10, 3, 1].into()];
    let built = Lab::builder(&name)
        .host(steer_tests::lab::HostSpec::pod("first", address()))
        .host(steer_tests::lab::HostSpec::pod("second", address()))
        .build();
    let error = built.err().context("two hosts of one address")?;
    ensure!(format!("{error:#}").contains("10.10.3.1"), "{error:#}");
    nothing_left(&name)
}

/// A process that has raised the bookstore as `name` and holds it. Its output is kept open: without
/// a reader it would end.
struct Holder {
    child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Holder {
    fn raise(name: &str) -> Result<Self> {
        let mut child = steer_lab(&["hold", "--name", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start steer-lab")?;
        let mut stdout = BufReader::new(child.stdout.take().context("an output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        ensure!(line.contains("is up"), "it said {line:?}");
        Ok(Self {
            child,
            _stdout: stdout,
        })
    }

    fn crash(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn crashed() -> Result<()> {
    let name = Lab::fresh_name("crash");
    Holder::raise(&name)?.crash()?;
    let left = Traces::of(&name, &BTreeSet::new())?;
    ensure!(
        left.processes.len() >= KEEPERS + SERVERS && left.mounts.len() == 1,
        "what is there to sweep? {left:?}"
    );
    Lab::sweep(&name)?;
    nothing_left(&name)?;
    // A new lab of the same name sweeps by itself.
    Holder::raise(&name)?.crash()?;
    drop(topology::bookstore(&name)?);
    nothing_left(&name)
}

fn living() -> Result<()> {
    let name = Lab::fresh_name("alive");
    let mut holder = Holder::raise(&name)?;
    for refused in [Lab::sweep(&name), topology::bookstore(&name).map(drop)] {
        let error = refused.err().context("the lab has a living owner")?;
        ensure!(
            format!("{error:#}").contains(&format!("process {}", holder.child.id())),
            "{error:#}"
        );
    }
    ensure!(!Lab::sweep_stale()?.contains(&name));
    let visited = Lab::open(&name)?;
    visited.pod("client")?.run("true", &[""; 0])?;
    drop(visited);
    ensure!(
        Dirs::new(&name)?.run().exists(),
        "a visitor took the lab down"
    );
    // Its input ends, so it takes its lab down itself.
    drop(holder.child.stdin.take());
    ensure!(holder.child.wait()?.success());
    nothing_left(&name)
}

fn kept() -> Result<()> {
    let name = Lab::fresh_name("kept");
    let said = finish(&["up", "--name", &name])?;
    ensure!(
        said.contains("catalog-v1") && said.contains("10.10.0.12"),
        "{said}"
    );
    ensure!(
        !Lab::sweep_stale()?.contains(&name),
        "a kept lab is not stale"
    );
    let url = "http://10.10.0.13:3000/";
    let said = finish(&[
        "exec", "--name", &name, "client", "--", "curl", "-sS", "-m5", url,
    ])?;
    ensure!(said.contains("catalog-v2"), "{said}");
    ensure!(finish(&["list"])?.contains(&name));
    ensure!(
        finish(&["up", "--name", &name]).is_err(),
        "it is up already"
    );
    finish(&["down", "--name", &name])?;
    nothing_left(&name)
}

fn steer_lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_steer-lab")));
    command.args(arguments);
    command
}

fn finish(arguments: &[&str]) -> Result<String> {
    let output = steer_lab(arguments).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "steer-lab {}: {complaint}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn nothing_left(name: &str) -> Result<()> {
    let mut left = Traces::of(name, &BTreeSet::new())?;
    // Those of the host, which other tests look at.
    left.interfaces.clear();
    ensure!(left.is_none(), "{left:#?}");
    Ok(())
}
