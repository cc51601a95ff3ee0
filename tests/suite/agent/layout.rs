//! A version whose maps have another layout is replaced, and one that begins where nothing is left.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    client::{Storm, Until, tally},
    harness::test,
    lab::Lab,
    need, topology,
};

use crate::stage::{REGISTRY_ONLY, ROUTE, Stage, catalog, ensure_ninety_ten, split, status};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("layout::one_that_is_readable_is_taken_over", taken_over),
        test("layout::what_connects_meanwhile_goes_on", goes_on),
        test("layout::of_one_that_is_not_nothing_is_left", begins_anew),
        test("layout::a_start_that_fails_leaves_the_old_one", refused),
        test("layout::after_a_reboot", rebooted),
    ]
}

/// The layout before this one, which this one can read.
const READABLE: u32 = steer_common::ABI_VERSION - 1;

/// Makes what is pinned that of another version; where it was, and where it is.
fn become_version(lab: &Lab, version: u32) -> Result<(PathBuf, PathBuf)> {
    let pins = lab.dirs().pins();
    let own = pins.join(format!("v{}", steer_common::ABI_VERSION));
    let other = pins.join(format!("v{version}"));
    fs::rename(&own, &other)?;
    Ok((own, other))
}

/// The same rows, the same tickets: of twenty connections in a row eighteen and two.
fn taken_over() -> Result<()> {
    let stage = Stage::raise("taken-over")?;
    let generation = status(&stage.lab)?["generation"].as_u64();
    let mut pins = None;
    let stage = stage.succeeded(|lab| {
        pins = Some(become_version(lab, READABLE)?);
        Ok(())
    })?;
    let (own, other) = pins.context("the pins")?;
    ensure!(own.exists() && !other.exists(), "the old pins are there");
    ensure!(
        status(&stage.lab)?["generation"].as_u64() == generation,
        "another generation"
    );
    Ok(())
}

/// The answers of a service to connections that only the old programs saw are not taken for connections
/// of its own, which its policy would refuse.
fn goes_on() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("goes-on"))?;
    lab.configure("registry-only.yaml", REGISTRY_ONLY)?;
    lab.agent()?.kill()?;
    let (own, other) = become_version(&lab, READABLE)?;
    let mut command = lab.pod("client")?.command(need::find("python3")?)?;
    command.args(["-c", MEANWHILE]);
    let mut client = command
        .args([catalog().ip().to_string(), catalog().port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(client.stdout.take().context("its output")?);
    let mut said = String::new();
    output.read_line(&mut said)?;
    ensure!(said == "connected\n", "only the old programs: {said:?}");
    let _agent = lab.agent()?;
    ensure!(own.exists() && !other.exists(), "the old pins are there");
    drop(client.stdin.take());
    said.clear();
    output.read_to_string(&mut said)?;
    let status = client.wait()?;
    let [made, answered] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        bail!("{status}: {said}");
    };
    ensure!(made.parse::<u32>()? > 20, "only {made} connections");
    ensure!(made == answered, "{made} were made, {answered} answered");
    Ok(())
}

/// Connections, many each second until standard input ends; then a request on each. Says when the first is
/// tried, and at the end how many were tried, and how many answered.
const MEANWHILE: &str = "import select, socket, sys, time\n\
    target = (sys.argv[1], int(sys.argv[2]))\n\
    made, tried = [], 0\n\
    while not select.select([sys.stdin], [], [], 0.005)[0]:\n\
    \x20   tried += 1\n\
    \x20   try: made.append(socket.create_connection(target, 5))\n\
    \x20   except OSError as error: print(error, file=sys.stderr)\n\
    \x20   if tried == 1: print('connected' if made else 'refused', flush=True)\n\
    for one in made: one.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
    end, answered = time.time() + 5, 0\n\
    for one in made:\n\
    \x20   one.settimeout(max(end - time.time(), 0.01))\n\
    \x20   try: answered += one.recv(8) != b''\n\
    \x20   except OSError as error: print(error, file=sys.stderr)\n\
    print(tried, answered)\n";

/// What a version with another layout of maps pinned stays in force until ours is, then it goes.
fn begins_anew() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("layout")?;
    agent.kill()?;
    let (own, other) = become_version(&lab, 1)?;
    let storm = Storm {
        until: Until::Told,
        ..Storm::new(catalog(), 0)
    };
    let running = storm.start(lab.pod("client")?)?;
    lab.configure(ROUTE, &split([50, 50]))?;
    let agent = lab.agent()?;
    ensure!(own.exists() && !other.exists(), "the old pins are there");
    let found = running.finish()?;
    let tally = tally(&found);
    let known = ["catalog-v1", "catalog-v2"];
    ensure!(tally.keys().all(|name| known.contains(name)), "{tally:?}");
    let stage = Stage { lab, agent };
    stage.await_weights(&[50, 50])?;
    let attempts = Storm::new(catalog(), 10).run(stage.lab.pod("client")?)?;
    let found = steer_tests::client::tally(&attempts);
    ensure!(
        found.get("catalog-v1") == Some(&5),
        "the old rows decide: {found:?}"
    );
    Ok(())
}

/// One that cannot load its programs takes nothing away from the one before.
fn refused() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("refused-layout")?;
    agent.kill()?;
    let (own, other) = become_version(&lab, READABLE)?;
    // Maps of another size cannot take the old rows.
    let output = lab
        .agent_command()?
        .args(["--max-services", "77"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("--max-services"),
        "{said}"
    );
    ensure!(!own.exists() && other.exists(), "pins of it are left");
    ensure_ninety_ten(&lab)
}

/// A reboot takes pins and the state directory's lock holder, but not always its files.
fn rebooted() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("rebooted")?;
    agent.kill()?;
    let pins = lab.dirs().pins();
    for version in fs::read_dir(&pins)? {
        for kind in fs::read_dir(version?.path())? {
            fs::remove_dir_all(kind?.path()).context("removing pins")?;
        }
    }
    let _agent = lab.agent()?;
    ensure_ninety_ten(&lab)?;
    let output = lab.steer("status")?.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(())
}
