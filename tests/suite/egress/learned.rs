//! Audit, learn, apply: what a pod does is watched, written down as ServiceEntries, and allowed by
//! them, and nothing else is.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use steer_tests::{lab::Lab, wait};

use crate::{
    ground::{ATTACKER, GOOD, Ground, RACED},
    registry,
};

/// How long a change of the files may take: the machine may be busy.
const IN_FORCE_MAX: Duration = Duration::from_secs(30);

/// An application's calls, as programs and their arguments.
struct Call {
    what: &'static str,
    program: &'static str,
    arguments: Vec<String>,
}

/// By name over HTTP and TLS, and by bare address over TCP and UDP.
fn application() -> Vec<Call> {
    vec![
        curl("HTTP by name", &format!("http://{RACED}/")),
        curl("TLS by name", &format!("https://{GOOD}/")),
        python("TCP by address", "SOCK_STREAM", "198.18.250.1"),
        python("UDP by address", "SOCK_DGRAM", "198.18.250.2"),
    ]
}

fn curl(what: &'static str, url: &str) -> Call {
    let arguments = ["-sSk", "--fail", "-4", "--max-time", "3", url];
    Call {
        what,
        program: "curl",
        arguments: arguments.map(str::to_owned).to_vec(),
    }
}

/// Says something to the echo server at an address, and waits for it.
fn python(what: &'static str, kind: &str, address: &str) -> Call {
    let script = format!(
        "import socket\n\
         sock = socket.socket(socket.AF_INET, socket.{kind})\n\
         sock.settimeout(2)\n\
         sock.connect(('{address}', 7000))\n\
         sock.send(b'said')\n\
         assert sock.recv(64) == b'said'\n"
    );
    Call {
        what,
        program: "python3",
        arguments: vec!["-c".to_owned(), script],
    }
}

/// What is learned under `audit` is what makes the same calls pass under `enforce`.
pub(crate) fn applied() -> Result<()> {
    let ground = Ground::raise("learned")?;
    let lab = &ground.lab;
    lab.configure("audit.yaml", &held("audit"))?;
    let _agent = registry::start_without_entries(lab)?;
    for call in application() {
        place(lab, &call).context("under audit")?;
    }
    let learned = learn(lab)?;

    lab.configure("audit.yaml", &held("enforce"))?;
    for call in application() {
        await_that(|| place(lab, &call).is_err())
            .with_context(|| format!("{} is refused before", call.what))?;
    }
    lab.configure("learned.yaml", &learned)?;
    for call in application() {
        await_that(|| place(lab, &call).is_ok())
            .with_context(|| format!("{} passes with\n{learned}", call.what))?;
    }
    for call in [
        curl("another name", "http://bad.example/"),
        python("another address", "SOCK_STREAM", "198.18.250.3"),
        python("another protocol", "SOCK_DGRAM", "198.18.250.1"),
    ] {
        ensure!(place(lab, &call).is_err(), "{} passes", call.what);
    }
    Ok(())
}

/// The attacker's namespace, and how strict its policy is.
fn held(egress: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: held\n  annotations:\n    \
         steer.dev/egress: {egress}\n"
    )
}

fn learn(lab: &Lab) -> Result<String> {
    // The agent writes down what it heard a moment later.
    let count = application().len();
    let mut text = String::new();
    await_that(|| {
        let run = || -> Result<String> {
            let mut command = lab.node()?.command(steer_tests::bins::steer()?)?;
            command.args(["learn", "-n", "held", "--state"]);
            let output = command.arg(lab.dirs().state()).output()?;
            Ok(String::from_utf8(output.stdout)?)
        };
        text = run().unwrap_or_default();
        text.matches("kind: ServiceEntry").count() == count
    })
    .with_context(|| format!("{count} entries are learned, and not\n{text}"))?;
    Ok(text)
}

fn place(lab: &Lab, call: &Call) -> Result<()> {
    let said = lab.pod(ATTACKER)?.run(call.program, &call.arguments);
    said.map(drop).with_context(|| call.what)
}

fn await_that(mut holds: impl FnMut() -> bool) -> Result<()> {
    wait::until(IN_FORCE_MAX, "it", || {
        Ok(if holds() {
            Ok(())
        } else {
            Err("it does not".to_owned())
        })
    })
}
