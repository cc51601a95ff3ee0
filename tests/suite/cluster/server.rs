//! A server that is slow, cuts connections, forgets old versions, goes away and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, server::api::Faults};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("server::connections_are_cut", cut),
        test("server::old_versions_are_gone", gone),
        test("server::it_is_away_and_comes_back", away),
        test("server::it_is_away_when_the_agent_starts", away_at_first),
        test("server::slow_and_in_pieces", slow),
    ]
}

/// Whatever happens meanwhile is seen afterwards.
fn cut() -> Result<()> {
    let stage = Stage::raise("kube-cut")?;
    for v2 in [20, 30, 40] {
        stage.server.cut();
        stage.split([100 - v2, v2])?;
        stage.server.cut();
        stage.await_split([u64::from(100 - v2), u64::from(v2)])?;
    }
    stage.server.fail(Faults {
        events_max: Some(1),
        ..Faults::default()
    });
    stage.server.cut();
    for v2 in [10, 60, 50] {
        stage.split([100 - v2, v2])?;
    }
    stage.await_split([50, 50])
}

/// 410: the client lists anew, also what was deleted while nobody looked.
fn gone() -> Result<()> {
    let stage = Stage::raise("kube-gone")?;
    stage.split([60, 40])?;
    stage.server.compact();
    stage.server.cut();
    stage.await_split([60, 40])?;
    stage
        .server
        .delete("virtualservices", "istioinaction", "catalog")?;
    stage.server.compact();
    stage.server.cut();
    stage.await_split([1, 1])
}

/// What is in force stays in force, and what changed meanwhile is taken when the server is back.
fn away() -> Result<()> {
    let stage = Stage::raise("kube-away")?;
    stage.server.fail(Faults {
        down: Some(500),
        ..Faults::default()
    });
    stage.server.cut();
    stage.split([50, 50])?;
    let told = |status: &serde_json::Value| status.to_string().contains("STR0107");
    stage.await_status("a finding that nothing can be watched", told)?;
    ensure!(stage.dial(100)?["catalog-v1"] == 90, "it is otherwise");
    stage.server.fail(Faults::default());
    stage.await_split([50, 50])?;
    stage
        .await_status("no such finding", |status| !told(status))
        .map(drop)
}

/// Nothing is applied before everything was listed, not even while parts are there.
fn away_at_first() -> Result<()> {
    let mut stage = Stage::raise("kube-away-first")?;
    stage.await_split([90, 10])?;
    stage.stop()?;
    // Without the rules the split would be 50/50.
    stage.start_against("virtualservices", 503)?;
    stage.await_split([90, 10])
}

fn slow() -> Result<()> {
    let mut stage = Stage::raise("kube-slow")?;
    stage.stop()?;
    stage.server.fail(Faults {
        slow: Some(Duration::from_millis(20)),
        page: Some(1),
        ..Faults::default()
    });
    stage.split([30, 70])?;
    stage.start()?;
    stage.await_split([30, 70])?;
    stage.split([40, 60])?;
    stage.await_split([40, 60])
}
