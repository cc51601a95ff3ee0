//! What the agent may read: it says by name what it may not.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    harness::test,
    server::api::{Faults, Right},
    topology::CATALOG_SUBSETS,
};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("rights::a_missing_one_is_named", named),
        test(
            "rights::those_of_the_manifest_are_enough_and_none_is_too_many",
            manifest,
        ),
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

/// With what the manifest gives, everything works; without any one of its rights the agent says which.
fn manifest() -> Result<()> {
    let rights = Right::read(include_str!("../../../deploy/steer.yaml"))?;
    ensure!(
        rights.iter().filter(|right| right.is_to_watch()).count() == 27,
        "{rights:?}"
    );
    let mut stage = Stage::without_istio("kube-manifest")?;
    stage.server.install_istio("v1");
    stage.server.install_gateway_api();
    stage.server.apply(CATALOG_SUBSETS)?;
    stage.split([90, 10])?;
    let with = |rights: &[Right]| Faults {
        rights: Some(rights.to_vec()),
        ..Faults::default()
    };
    stage.server.fail(with(&rights));
    stage.start_with(&["--node-name", "node-1"])?;
    stage.await_split([90, 10])?;
    let watched = (0..rights.len()).filter(|&number| rights[number].is_to_watch());
    for missing in watched {
        let mut less = rights.clone();
        let right = less.remove(missing);
        stage.server.fail(with(&less));
        stage.server.cut();
        let name = [right.resource.as_str(), right.group.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".");
        let told = format!("{name}: the agent may not list or watch them");
        stage.await_status(&format!("a finding of {name}"), |status| {
            status.to_string().contains(&told)
        })?;
    }
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
