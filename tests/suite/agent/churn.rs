//! Many changes through files while connections flow: none fails, and how long a change takes from
//! the file to the kernel.

use std::{
    env, fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    client::{Storm, Until, tally},
    harness::test,
    lab::Lab,
};

use crate::stage::{
    NOTICE_MAX, ROUTE, Stage, catalog, ensure_ninety_ten, is_applied, raise_lab, rows, split,
    status,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("churn::nothing_fails_while_files_change", churn)]
}

/// How many changes; ten times as many at full counts.
const CHANGES: u32 = 300;
/// How often the kernel is asked for a change.
const ASK_EVERY: Duration = Duration::from_micros(200);
/// The file of the endpoint that comes and goes.
const EXTRA: &str = "extra.yaml";

fn churn() -> Result<()> {
    let lab = raise_lab("files")?;
    // Small maps are read quickly, and this reads them all the time.
    let agent = lab.agent_with(&["--max-services", "200"])?;
    let stage = Stage { lab, agent };
    let lab = &stage.lab;
    let webapp = SocketAddr::from(([10, 200, 1, 93], 80));
    let storm = Storm {
        targets: vec![catalog(), webapp],
        until: Until::Told,
        threads: 2,
        rate: Some(500),
        ..Storm::new(catalog(), 0)
    };
    let running = storm.start(lab.pod("client")?)?;
    let full = env::var("STEER_FULL").is_ok_and(|value| value == "1");
    let changes = if full { 10 * CHANGES } else { CHANGES };
    let waits: Vec<Duration> = (0..changes)
        .map(|change| to_kernel(lab, change))
        .collect::<Result<_>>()?;
    stage.split([90, 10])?;
    let attempts = running.finish()?;
    let found = tally(&attempts);
    let known = ["catalog-v1", "catalog-v2", "webapp", "forum"];
    ensure!(
        found.len() == known.len() && found.keys().all(|name| known.contains(name)),
        "after {changes} changes: {found:?}"
    );
    ensure!(attempts.len() > 500, "only {} connections", attempts.len());
    ensure!(is_applied(&status(lab)?), "{}", status(lab)?);
    tell(attempts.len(), waits);
    ensure_ninety_ten(lab)
}

fn tell(connects: usize, mut waits: Vec<Duration>) {
    waits.sort();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    let figures = [("p50", at(50)), ("p99", at(99)), ("max", at(100))];
    let lines =
        figures.map(|(name, value)| format!("figure files.to_kernel_ms_{name} {value:.2}\n"));
    // Beside the goal of 10 ms; on a busy machine it says little, so it is not held to it.
    let changes = waits.len();
    let text = format!(
        "figure files.changes {changes}\nfigure files.connects {connects}\n{}",
        lines.concat()
    );
    // The harness may have closed its output.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

/// Makes a change, and says how long it took until the kernel had it.
fn to_kernel(lab: &Lab, change: u32) -> Result<Duration> {
    let before = rows(lab)?;
    let started = Instant::now();
    write(lab, change)?;
    while rows(lab)? == before {
        ensure!(
            started.elapsed() < NOTICE_MAX,
            "change {change} is not in the kernel after {NOTICE_MAX:?}: {}",
            status(lab)?
        );
        thread::sleep(ASK_EVERY);
    }
    Ok(started.elapsed())
}

/// Weights by a rename and in place; an endpoint that comes and goes.
fn write(lab: &Lab, change: u32) -> Result<()> {
    let weight = 1 + change % 98;
    let in_place = |name: &str, text: String| fs::write(lab.dirs().config().join(name), text);
    match change % 4 {
        0 => lab.configure(ROUTE, &split([weight, 100 - weight])),
        2 => Ok(in_place(ROUTE, split([weight, 100 - weight]))?),
        step => Ok(in_place(EXTRA, extra(step == 1))?),
    }
}

/// The forum's pod as an endpoint of the webapp.
fn extra(ready: bool) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: webapp-extra\n  \
         namespace: istioinaction\n  labels: {{kubernetes.io/service-name: webapp}}\n\
         addressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints:\n  \
         - addresses: [10.10.0.15]\n    conditions: {{ready: {ready}, serving: {ready}}}\n"
    )
}
