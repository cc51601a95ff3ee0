//! Mirrors without a proxy: clients send directly, and copies come all the same.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use steer_tests::{harness::test, server::http};

use crate::{
    clients::{PUBLIC, curl, node, python},
    stage::{Stage, ensure_same, eventually},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("tap::clients_send_directly_and_copies_come", copied),
        test("tap::the_share_is_exact_and_ends_with_the_rule", share),
        test("tap::bodies_are_copied_up_to_a_length", bodies),
        test("tap::a_mirror_that_hangs_is_in_nobodys_way", hangs),
        test("tap::what_does_not_fit_is_counted_and_not_waited_for", full),
    ]
}

const CATALOG: &str = "http://catalog.istioinaction/items";

/// Version 1 answers; so much of a hundred is copied to version 2.
fn mirror(percent: u32) -> String {
    format!(
        "http:\n  - route: [{{destination: {{host: catalog, subset: v1}}}}]\n    \
         mirror: {{host: catalog, subset: v2}}\n    mirrorPercentage: {{value: {percent}}}\n"
    )
}

/// Nothing is copied. With a weight that makes it another route for the kernel, so that it can be waited for.
const PLAIN: &str = "http:
  - route:
      - {destination: {host: catalog, subset: v1}, weight: 1}
      - {destination: {host: catalog, subset: v2}, weight: 0}
";

/// What version 2 noted, once it is so much.
fn noted(stage: &Stage, count: usize) -> Result<Vec<String>> {
    http::requests(stage.lab.pod("catalog-v2")?, count)
}

fn copied() -> Result<()> {
    let stage = Stage::raise("tap", &mirror(100))?;
    let client = stage.client()?;
    let before = stage.reason("handed_over")?;
    let wanted = vec!["v1".to_owned(); 20];
    let public = [PUBLIC; 20];
    ensure_same("curl", &curl(client, CATALOG, &public, &[])?, &wanted)?;
    let fresh = curl(client, CATALOG, &public, &["-H", "Connection: close"])?;
    ensure_same("curl, fresh connections", &fresh, &wanted)?;
    let (peer, got) = python(client, "catalog.istioinaction", &public)?;
    ensure_same("python3", &got, &wanted)?;
    ensure!(
        peer.contains("10.200.1.92") || peer.contains("fd00:200:1::92"),
        "{peer}"
    );
    ensure_same("node", &node(client, CATALOG, &public)?, &wanted)?;
    let copies = noted(&stage, 80)?;
    ensure!(copies.len() == 80, "{} copies", copies.len());
    let of_shadow = |line: &String| line.contains("catalog.istioinaction-shadow");
    ensure!(copies.iter().all(of_shadow), "{copies:?}");
    ensure!(
        stage.reason("handed_over")? == before,
        "somebody is in between"
    );
    ensure!(stage.reason("tap_full")? == 0, "the ring was full");
    let routes = stage.steer(&["get", "routes", "catalog"])?;
    ensure!(
        routes.contains("mirror v2=100%") && !routes.contains(" request "),
        "{routes}"
    );
    Ok(())
}

fn share() -> Result<()> {
    let stage = Stage::raise("tap-share", &mirror(25))?;
    let client = stage.client()?;
    curl(client, CATALOG, &[PUBLIC; 40], &[])?;
    let copies = noted(&stage, 10)?;
    ensure!(copies.len() == 10, "{} of 40 are copied", copies.len());
    let attached = || -> Result<bool> {
        Ok(stage
            .steer(&["status", "-o", "json"])?
            .contains("steer_tap"))
    };
    ensure!(attached()?, "the program is not in force");
    stage.route(PLAIN, "")?;
    eventually("the program to be gone", || Ok(!attached()?))?;
    curl(client, CATALOG, &[PUBLIC; 40], &[])?;
    stage.route(&mirror(100), "")?;
    curl(client, CATALOG, &[PUBLIC; 5], &[])?;
    let copies = noted(&stage, 15)?;
    ensure!(copies.len() == 15, "{} were copied", copies.len());
    Ok(())
}

fn bodies() -> Result<()> {
    let stage = Stage::raise("tap-bodies", &mirror(100))?;
    let client = stage.client()?;
    let post = |bytes: usize| {
        let script =
            format!("head -c {bytes} /dev/zero | curl -sS -o /dev/null --data-binary @- {CATALOG}");
        client.run("sh", &["-c", &script])
    };
    post(10)?;
    post(40_000)?;
    post(900_000)?;
    post(20)?;
    let copies = noted(&stage, 3)?;
    ensure!(copies.len() == 3, "{copies:?}");
    eventually("what was too long to be counted", || {
        let status = stage.steer(&["status"])?;
        Ok(status.contains(" cut") || status.contains("too long"))
    })
}

fn hangs() -> Result<()> {
    let stage = Stage::raise("tap-hangs", &mirror(100))?;
    let servers = stage.lab.pod("catalog-v2")?.cgroup().processes()?;
    let all = |signal| {
        servers
            .iter()
            .try_for_each(|&pid| kill(Pid::from_raw(pid), signal))
    };
    all(Signal::SIGSTOP)?;
    let got = curl(
        stage.client()?,
        CATALOG,
        &[PUBLIC; 50],
        &["-H", "Connection: close"],
    );
    all(Signal::SIGCONT)?;
    ensure_same("curl", &got?, &vec!["v1".to_owned(); 50])
}

/// Nobody reads what is copied: the buffer is full soon, clients notice nothing, and all is well afterwards.
fn full() -> Result<()> {
    let stage = Stage::raise("tap-full", &mirror(100))?;
    let client = stage.client()?;
    let agent = Pid::from_raw(i32::try_from(stage.agent.pid())?);
    kill(agent, Signal::SIGSTOP)?;
    // Twice as much as fits, over one connection.
    let script = format!(
        "body=$(mktemp); trap 'rm $body' EXIT; head -c 15000 /dev/zero > $body; \
         curl -sS --fail -H Expect: --data-binary @$body -o /dev/null -w '%{{http_code}}\\n' '{CATALOG}?[1-1200]'"
    );
    let got = client.run("sh", &["-c", &script]);
    let full = stage.reason("tap_full");
    kill(agent, Signal::SIGCONT)?;
    let got = got?;
    let answered = got.lines().filter(|line| *line == "200").count();
    ensure!(answered == 1200, "{answered} are answered");
    ensure!(full? > 0, "all of it fit");
    // What comes now is copied again.
    eventually("a copy", || {
        curl(client, CATALOG, &[PUBLIC], &[])?;
        Ok(!noted(&stage, 1)?.is_empty())
    })?;
    Ok(())
}
