//! While the agent is away: at once after a kill, within its heartbeat after a stall; and back again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use steer_tests::harness::test;

use crate::{
    clients::{INTERNAL, PUBLIC, curl},
    stage::{COHORT, Stage, eventually, reason},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("away::killed_and_back", killed),
        test("away::killed_under_load", under_load),
        test("away::stopped_while_requests_are_under_way", stopped),
        test("away::stalled_and_back", stalled),
        test("away::killed_while_the_node_is_closed", closed),
    ]
}

const CATALOG: &str = "http://catalog/items";

/// The version that a request of somebody inside gets, over a connection of its own.
fn internal(stage: &Stage) -> Result<String> {
    Ok(curl(stage.client()?, CATALOG, &[INTERNAL], &["-4"])?.concat())
}

fn killed() -> Result<()> {
    let Stage { agent, lab } = Stage::raise("killed", COHORT)?;
    let client = lab.pod("client")?;
    let ask = |cohort| Ok::<_, anyhow::Error>(curl(client, CATALOG, &[cohort], &["-4"])?.concat());
    ensure!(ask(INTERNAL)? == "v2");
    agent.kill()?;
    // At once, and never an error: its rule that needs no request.
    for _ in 0..20 {
        for cohort in [INTERNAL, PUBLIC] {
            let got = ask(cohort)?;
            ensure!(got == "v1", "{got}");
        }
    }
    let _agent = lab.agent()?;
    let got = ask(INTERNAL)?;
    ensure!(got == "v2", "{got}");
    Ok(())
}

/// One request of a client that goes on asking.
struct Asked {
    began: Instant,
    ended: Instant,
    got: Result<Vec<String>>,
}

/// Requests that are under way are cut; whoever connects afterwards is led by the rule that needs no request, and
/// nobody waits for anything.
fn under_load() -> Result<()> {
    let late = COHORT.replace(
        "http:\n  - match",
        "http:\n  - fault: {delay: {fixedDelay: 300ms}}\n    match",
    );
    let Stage { agent, lab } = Stage::raise("under-load", &late)?;
    let client = lab.pod("client")?;
    let over = AtomicBool::new(false);
    let ask = || {
        let mut all = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let got = curl(client, CATALOG, &[INTERNAL], &["-4"]);
            let ended = Instant::now();
            all.push(Asked { began, ended, got });
        }
        all
    };
    let (killing, killed, asked) = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        thread::sleep(Duration::from_secs(2));
        let killing = Instant::now();
        let kill = agent.kill();
        let killed = Instant::now();
        thread::sleep(Duration::from_secs(1));
        over.store(true, Ordering::Relaxed);
        let asked = clients.into_iter().map(|client| {
            let all = client.join();
            all.map_err(|_| anyhow!("a client panicked"))
        });
        let asked: Result<Vec<_>> = asked.collect();
        kill?;
        Ok::<_, anyhow::Error>((killing, killed, asked?))
    })?;
    let (mut before, mut cut, mut after) = (0, 0, 0);
    for Asked { began, ended, got } in asked.into_iter().flatten() {
        if ended < killing {
            ensure!(got? == ["v2"]);
            before += 1;
        } else if began > killed {
            ensure!(got? == ["v1"]);
            after += 1;
        } else {
            // Of those that had come to the agent, none is answered with another rule's answer.
            cut += usize::from(got.is_err());
        }
    }
    ensure!(
        before > 0 && cut > 0 && after > 0,
        "{before} before, {cut} cut, {after} after"
    );
    Ok(())
}

/// A request that is under way is answered; those that come meanwhile are not refused.
fn stopped() -> Result<()> {
    let late = COHORT.replace(
        "http:\n  - match",
        "http:\n  - fault: {delay: {fixedDelay: 3s}}\n    match",
    );
    let Stage { agent, lab } = Stage::raise("stopped", &late)?;
    let client = lab.pod("client")?;
    let handed_over = reason(&lab, "handed_over")?;
    thread::scope(|scope| {
        let under_way = scope.spawn(|| curl(client, CATALOG, &[INTERNAL], &["-4"]));
        eventually("the connection to be handed over", || {
            Ok(reason(&lab, "handed_over")? == handed_over + 1)
        })?;
        // Its request follows at once, and is not answered for seconds.
        thread::sleep(Duration::from_millis(100));
        ensure!(!under_way.is_finished(), "it was answered at once");
        let others = scope.spawn(|| {
            let one = |_| curl(client, CATALOG, &[PUBLIC], &["-4"]);
            (0..20).map(one).collect::<Result<Vec<_>>>()
        });
        agent.stop()?;
        let joined = |_| anyhow!("a client panicked");
        let got = under_way.join().map_err(joined)??;
        ensure!(got == ["v2"], "{got:?}");
        let others = others.join().map_err(joined)??.concat();
        ensure!(others.iter().all(|version| version == "v1"), "{others:?}");
        Ok(())
    })
}

fn stalled() -> Result<()> {
    let stage = Stage::raise_with("stalled", COHORT, &["--heartbeat-timeout", "500ms"])?;
    ensure!(internal(&stage)? == "v2");
    let pid = Pid::from_raw(i32::try_from(stage.agent.pid())?);
    kill(pid, Signal::SIGSTOP)?;
    thread::sleep(Duration::from_millis(600));
    let started = Instant::now();
    let got = internal(&stage);
    let took = started.elapsed();
    kill(pid, Signal::SIGCONT)?;
    ensure!(got? == "v1" && took < Duration::from_secs(1), "{took:?}");
    let started = Instant::now();
    while internal(&stage)? != "v2" {
        if started.elapsed() > Duration::from_secs(2) {
            bail!("it is back, and requests are not looked at");
        }
    }
    Ok(())
}

fn closed() -> Result<()> {
    let Stage { agent, lab } = Stage::raise_with("closed", COHORT, &["--when-away", "closed"])?;
    let client = lab.pod("client")?;
    ensure!(curl(client, CATALOG, &[INTERNAL], &["-4"])? == ["v2"]);
    agent.kill()?;
    let refused = curl(client, CATALOG, &[PUBLIC], &["-4"]);
    let error = format!(
        "{:#}",
        refused.err().unwrap_or_else(|| anyhow!("it got through"))
    );
    ensure!(
        error.contains("Connection refused") || error.contains("Couldn't connect"),
        "{error}"
    );
    let _agent = lab.agent_with(&["--when-away", "closed"])?;
    ensure!(curl(client, CATALOG, &[INTERNAL, PUBLIC], &["-4"])? == ["v2", "v1"]);
    Ok(())
}
