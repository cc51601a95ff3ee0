//! How long a change takes from the API server to the kernel.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    figure::{Figure, Goal},
    harness::{full, test},
};

use crate::stage::Stage;

static TOOK_MS: Mutex<Vec<f64>> = Mutex::new(Vec::new());

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("timing::from_the_server_to_the_kernel", propagation)]
}

/// Writes weights, and looks at the agent's log until it says that the kernel holds them.
fn propagation() -> Result<()> {
    let stage = Stage::raise("kube-timing")?;
    let changes = if full() { 500 } else { 40 };
    let applied = || Ok::<usize, anyhow::Error>(stage.log()?.matches(": applied ").count());
    let mut took = Vec::new();
    for number in 0..changes {
        let before = applied()?;
        let begun = Instant::now();
        stage.split([100 + number, 1])?;
        while applied()? == before {
            ensure!(begun.elapsed() < Duration::from_secs(9), "a change is lost");
            thread::sleep(Duration::from_micros(100));
        }
        took.push(begun.elapsed().as_secs_f64() * 1_000.0);
        thread::sleep(Duration::from_millis(10));
    }
    took.sort_by(f64::total_cmp);
    let mut all = TOOK_MS.lock().ok().context("the times")?;
    all.extend(took);
    Ok(())
}

pub(crate) fn figures() -> Vec<Figure> {
    let took = TOOK_MS.lock().map(|took| took.clone()).unwrap_or_default();
    if took.is_empty() {
        return Vec::new();
    }
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    vec![
        Figure::new("cluster.propagation_ms_p50", at(50)).goal(Goal::AtMost(20.0)),
        Figure::new("cluster.propagation_ms_p99", at(99)).goal(Goal::AtMost(200.0)),
    ]
}
