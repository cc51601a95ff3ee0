//! What the agent may read: it says by name what it may not.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, server::api::Faults};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("rights::a_missing_one_is_named", named),
        test("rights::one_that_is_taken_away_changes_nothing", taken_away),
    ]
}

fn named() -> Result<()> {
    let mut stage = Stage::raise("kube-rights")?;
    stage.stop()?;
    stage.start_against("serviceentries", 403)?;
    let log = stage.log()?;
    ensure!(
        log.contains("serviceentries.networking.istio.io: the agent may not list or watch them"),
        "{log}"
    );
    stage.await_split([90, 10])
}

fn taken_away() -> Result<()> {
    let stage = Stage::raise("kube-taken")?;
    stage.server.fail(Faults {
        status: vec![("virtualservices".to_owned(), 403)],
        ..Faults::default()
    });
    stage.server.cut();
    let told = |status: &serde_json::Value| {
        status
            .to_string()
            .contains("virtualservices.networking.istio.io: the agent may not")
    };
    stage.await_status("a finding", told)?;
    stage.await_split([90, 10])
}
