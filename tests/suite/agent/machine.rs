//! Machines on which an agent cannot run, or is not alone. Nothing of the host is touched: what is
//! missing is hidden in a mount namespace of the agent's own.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    bins,
    client::{Storm, tally},
    harness::test,
    lab::Lab,
    need,
};

use crate::{
    stage::{Stage, ensure_ninety_ten, raise_lab, rows},
    table,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("machine::no_permission", no_permission),
        test("machine::no_cgroup_v2", no_cgroup),
        test("machine::no_type_information", no_btf),
        test("machine::no_bpf_file_system", no_bpffs),
        test("machine::another_program_runs_too", shared),
        test("machine::a_program_that_shares_with_nobody", exclusive),
        test("machine::a_second_agent", second),
        test("machine::two_agents_of_their_own", two),
    ]
}

/// Not supported on this kernel or machine.
const UNSUPPORTED: i32 = 69;
/// A port that the foreign program denies.
const DENIED: u16 = 9_999;
/// User and group `nobody`.
const NOBODY: &str = "65534";

/// Runs an agent that cannot start; its exit code and what it says, for the page.
fn failing(lab: &Lab, mut command: Command) -> Result<(i32, String)> {
    let output = command.stdin(Stdio::null()).output()?;
    let code = output.status.code().context("it was ended by a signal")?;
    let said = String::from_utf8(output.stderr)?;
    let line = said.lines().find(|line| line.starts_with("steer: "));
    let line = line.with_context(|| format!("exit {code}, and it says {said:?}"))?;
    Ok((code, table::plain(lab, line)))
}

/// `inner` by way of another program.
fn by_way_of<A: AsRef<OsStr>>(
    lab: &Lab,
    outer: &str,
    args: &[A],
    inner: &Command,
) -> Result<Command> {
    let mut command = lab.node()?.command(need::find(outer)?)?;
    command.args(args).arg(inner.get_program());
    command.args(inner.get_args());
    Ok(command)
}

/// `inner` after `change`, in a mount namespace of its own.
fn hidden(lab: &Lab, change: &str, inner: &Command) -> Result<Command> {
    let script = format!("{change} && exec \"$@\"");
    by_way_of(
        lab,
        "unshare",
        &["--mount", "sh", "-c", &script, "sh"],
        inner,
    )
}

fn no_permission() -> Result<()> {
    let lab = raise_lab("nobody")?;
    // Where it was built, others may not go.
    let steer = lab.dirs().run().join("steer");
    fs::copy(bins::steer()?, &steer)?;
    fs::set_permissions(lab.dirs().run(), fs::Permissions::from_mode(0o755))?;
    let mut inner = Command::new(&steer);
    inner.args(lab.agent_command()?.get_args());
    let drop = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    let (code, said) = failing(&lab, by_way_of(&lab, "setpriv", &drop, &inner)?)?;
    ensure!(code == UNSUPPORTED, "exit {code}: {said}");
    table::check(
        "no permission",
        "the agent does not start (exit 69)",
        &[said],
    )?;
    ensure!(!lab.dirs().pins().exists(), "something is pinned");
    Ok(())
}

fn no_cgroup() -> Result<()> {
    let lab = raise_lab("cgroup")?;
    let place = lab.dirs().run().join("no-cgroup");
    fs::create_dir(&place)?;
    let mut command = lab.steer("agent")?;
    command.arg("--config").arg(lab.dirs().config());
    let inner = hidden(&lab, "umount -a -l -t cgroup2", &command)?;
    let (code, said) = failing(&lab, inner)?;
    ensure!(code == UNSUPPORTED, "exit {code}: {said}");
    table::check(
        "no cgroup v2",
        "the agent does not start (exit 69)",
        &[said],
    )?;
    command.arg("--cgroup").arg(&place);
    let (code, said) = failing(&lab, command)?;
    table::check(
        "a directory that is no cgroup v2",
        &format!("the agent does not start (exit {code})"),
        &[said],
    )?;
    ensure!(!lab.dirs().pins().exists(), "something is pinned");
    Ok(())
}

fn no_btf() -> Result<()> {
    let lab = raise_lab("btf")?;
    let change = "mount -t tmpfs none /sys/kernel/btf";
    let (code, said) = failing(&lab, hidden(&lab, change, &lab.agent_command()?)?)?;
    ensure!(code == UNSUPPORTED, "exit {code}: {said}");
    table::check(
        "no type information (BTF)",
        "the agent does not start (exit 69)",
        &[said],
    )
}

fn no_bpffs() -> Result<()> {
    let lab = raise_lab("bpffs")?;
    let mut command = lab.node()?.command(bins::steer()?)?;
    command
        .arg("agent")
        .arg("--config")
        .arg(lab.dirs().config());
    command
        .arg("--cgroup")
        .arg(lab.dirs().cluster_cgroup().path());
    command.arg("--state").arg(lab.dirs().state());
    command.arg("--pins").arg(lab.dirs().run().join("pins"));
    let (code, said) = failing(&lab, command)?;
    ensure!(code == UNSUPPORTED, "exit {code}: {said}");
    table::check(
        "no BPF file system at the pins",
        "the agent does not start (exit 69)",
        &[said],
    )
}

/// A program of somebody else on the cgroup of the lab, until it is dropped.
struct Foreign {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Foreign {
    fn attach(lab: &Lab, manner: &str) -> Result<Self> {
        let script: PathBuf = bins::workspace().join("tests/suite/agent/foreign.py");
        let mut command = Command::new(need::find("python3")?);
        command.arg(script).arg(lab.dirs().cluster_cgroup().path());
        command.arg(DENIED.to_string()).arg(manner);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        let stdout = child.stdout.take().context("it has an output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let foreign = Self { child, stdin };
        if line.trim() != "attached" {
            bail!("the foreign program is not attached");
        }
        Ok(foreign)
    }

    /// Whether it runs for the client: it denies one port.
    fn runs(lab: &Lab) -> Result<bool> {
        let denied = SocketAddr::from(([10, 10, 0, 12], DENIED));
        let attempts = Storm::new(denied, 1).run(lab.pod("client")?)?;
        Ok(tally(&attempts).contains_key("EPERM"))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It detaches when its input ends.
        let _ = self.child.wait();
    }
}

/// Before the agent and after it: both programs run, and so do they without the agent.
fn shared() -> Result<()> {
    let lab = raise_lab("foreign")?;
    let earlier = Foreign::attach(&lab, "shared")?;
    ensure!(Foreign::runs(&lab)?, "the foreign program does not run");
    let agent = lab.agent()?;
    ensure_ninety_ten(&lab)?;
    ensure!(Foreign::runs(&lab)?, "steer put itself in its place");
    drop(earlier);
    ensure!(!Foreign::runs(&lab)?);
    ensure_ninety_ten(&lab)?;
    let _later = Foreign::attach(&lab, "shared")?;
    ensure_ninety_ten(&lab)?;
    ensure!(Foreign::runs(&lab)?);
    agent.kill()?;
    ensure_ninety_ten(&lab)?;
    ensure!(Foreign::runs(&lab)?);
    Ok(())
}

/// A program attached in the old way, without sharing, keeps everybody else out.
fn exclusive() -> Result<()> {
    let lab = raise_lab("exclusive")?;
    let foreign = Foreign::attach(&lab, "exclusive")?;
    let (code, said) = failing(&lab, lab.agent_command()?)?;
    ensure!(Foreign::runs(&lab)?, "the foreign program is gone");
    table::check(
        "another program attached",
        &format!(
            "both run; if that program shares with nobody, the agent does not start (exit {code})"
        ),
        &[said],
    )?;
    drop(foreign);
    let _agent = lab.agent()?;
    ensure_ninety_ten(&lab)
}

fn second() -> Result<()> {
    let stage = Stage::raise("second")?;
    let lab = &stage.lab;
    let before = rows(lab)?;
    let (code, said) = failing(lab, lab.agent_command()?)?;
    let said = said.replace(&stage.agent.pid().to_string(), "PID");
    table::check(
        "a second agent",
        &format!("the second does not start (exit {code})"),
        &[said],
    )?;
    ensure!(rows(lab)? == before, "it changed something");
    ensure_ninety_ten(lab)
}

/// Two agents with pins and state of their own on one cgroup: the first one decides.
fn two() -> Result<()> {
    let stage = Stage::raise("two")?;
    let lab = &stage.lab;
    let place = lab.dirs().run().join("state-2");
    fs::create_dir(&place)?;
    let mut command = lab.node()?.command(bins::steer()?)?;
    command
        .arg("agent")
        .arg("--config")
        .arg(lab.dirs().config());
    command
        .arg("--cgroup")
        .arg(lab.dirs().cluster_cgroup().path());
    command.arg("--state").arg(&place);
    command.arg("--pins").arg(lab.dirs().bpf().join("steer-2"));
    let other = steer_tests::agent::Agent::start(lab.node()?, command)?;
    ensure_ninety_ten(lab)?;
    ensure!(other.stop()? == 0);
    ensure_ninety_ten(lab)
}
