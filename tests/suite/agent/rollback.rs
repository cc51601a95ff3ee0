//! Earlier rules are returned to, stay, and are released.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, lab::Lab};

use crate::stage::{ROUTE, Stage, ensure_ninety_ten, is_applied, split, status, wait_for};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("rollback::rules_stay_until_the_files_change", until_changed),
        test(
            "rollback::rules_stay_until_they_are_released",
            until_released,
        ),
    ]
}

/// `steer rollback` with these arguments; says its exit code.
fn rollback(lab: &Lab, arguments: &[&str]) -> Result<Option<i32>> {
    let output = lab.steer("rollback")?.args(arguments).output()?;
    Ok(output.status.code())
}

fn until_changed() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("rollback")?;
    let first = status(&lab)?["generation"].as_u64();
    let stage = Stage { lab, agent };
    stage.split([50, 50])?;
    ensure!(rollback(&stage.lab, &[])? == Some(0));
    stage.await_weights(&[90, 10])?;
    ensure_ninety_ten(&stage.lab)?;
    let told = wait_for(&stage.lab, |status| status["rolled_back"].as_u64() == first)?;
    ensure!(
        is_applied(&told) && told["generation"].as_u64() > first,
        "{told}"
    );
    ensure!(told["findings"].to_string().contains("STR0705"), "{told}");
    // Rules that are older than any are not kept.
    ensure!(rollback(&stage.lab, &["0"])? == Some(1));
    // An agent that starts keeps to it; so does one that sees the cluster change.
    let Stage { lab, agent } = stage;
    agent.kill()?;
    let agent = lab.agent()?;
    let stage = Stage { lab, agent };
    stage.await_weights(&[90, 10])?;
    stage.lab.configure("other.yaml", OTHER)?;
    wait_for(&stage.lab, |status| {
        status["generation"].as_u64() > told["generation"].as_u64()
    })?;
    stage.await_weights(&[90, 10])?;
    // The files say something else.
    stage.split([20, 80])?;
    let told = wait_for(&stage.lab, |status| status["rolled_back"].is_null())?;
    ensure!(is_applied(&told), "{told}");
    Ok(())
}

fn until_released() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("release")?;
    let first = status(&lab)?["generation"].to_string();
    let stage = Stage { lab, agent };
    stage.split([50, 50])?;
    stage.split([70, 30])?;
    ensure!(rollback(&stage.lab, &[&first])? == Some(0));
    stage.await_weights(&[90, 10])?;
    ensure!(rollback(&stage.lab, &["--release"])? == Some(0));
    stage.await_weights(&[70, 30])?;
    // Without an agent the wish is kept for the next one.
    let Stage { lab, agent } = stage;
    agent.kill()?;
    ensure!(rollback(&lab, &[])? == Some(0));
    let agent = lab.agent()?;
    let stage = Stage { lab, agent };
    stage.await_weights(&[50, 50])?;
    // Broken files change nothing, whole ones that differ do.
    stage.lab.configure(ROUTE, "kind: [")?;
    wait_for(&stage.lab, |status| status["state"] == "refused")?;
    stage.await_weights(&[50, 50])?;
    stage.lab.configure(ROUTE, &split([60, 40]))?;
    stage.await_weights(&[60, 40])
}

/// Something of the cluster that is no rule.
const OTHER: &str = "apiVersion: v1\nkind: Service\n\
    metadata: {name: other, namespace: istioinaction}\n\
    spec: {clusterIP: 10.200.1.70, ports: [{name: http, port: 80}]}\n";
