//! Earlier rules are returned to, though a cluster has only the newest: for the pods and services of
//! now, until other rules are written there or they are released.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::harness::test;

use crate::stage::Stage;

/// How long the agent may take to keep rules that are in force.
const KEPT_MAX: Duration = Duration::from_secs(10);

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "rollback::rules_stay_until_others_are_written",
            until_written,
        ),
        test(
            "rollback::deleted_rules_come_back_until_released",
            until_released,
        ),
    ]
}

/// `steer rollback` with these arguments; says its exit code and what it says.
fn rollback(stage: &Stage, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = stage.lab.steer("rollback")?.args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), said))
}

/// Waits until so many rules can be returned to: the agent keeps them once they are in force.
fn await_kept(stage: &Stage, count: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let (code, list) = rollback(stage, &["--list"])?;
        // Behind the headers.
        if code == Some(0) && list.lines().count() == count + 1 {
            return Ok(());
        }
        ensure!(started.elapsed() < KEPT_MAX, "{list}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn until_written() -> Result<()> {
    let mut stage = Stage::raise("kube-rollback")?;
    stage.await_split([90, 10])?;
    stage.split([50, 50])?;
    stage.await_split([50, 50])?;
    await_kept(&stage, 2)?;
    let (code, said) = rollback(&stage, &[])?;
    ensure!(code == Some(0) && said.contains("in force as"), "{said}");
    stage.await_split([90, 10])?;
    let told = stage.await_status("a finding", |status| status.to_string().contains("STR0705"))?;
    ensure!(told["state"] == "applied", "{told}");
    // Endpoints are never those of before: v2 has none any more, and its share is refused.
    stage.server.apply(&v2_is_ready(false))?;
    stage.await_answers(&[("catalog-v1", 90), ("ECONNREFUSED", 10)])?;
    stage.server.apply(&v2_is_ready(true))?;
    stage.await_split([90, 10])?;
    // An agent that starts keeps to it.
    stage.stop()?;
    stage.start()?;
    stage.await_split([90, 10])?;
    stage.split([20, 80])?;
    stage.await_split([20, 80])?;
    let released = |status: &Value| status["rolled_back"].is_null();
    stage.await_status("no rollback", released).map(drop)
}

fn until_released() -> Result<()> {
    let stage = Stage::raise("kube-release")?;
    stage.await_split([90, 10])?;
    stage
        .server
        .delete("virtualservices", "istioinaction", "catalog")?;
    stage.await_split([1, 1])?;
    await_kept(&stage, 2)?;
    let (code, said) = rollback(&stage, &[])?;
    ensure!(code == Some(0), "{said}");
    stage.await_split([90, 10])?;
    let (code, said) = rollback(&stage, &["--release"])?;
    ensure!(code == Some(0), "{said}");
    stage.await_split([1, 1])
}

/// The endpoints of the catalog.
fn v2_is_ready(ready: bool) -> String {
    let endpoint = |name: &str, last: u8, ready: bool| {
        format!(
            "- addresses: [10.10.0.{last}]\n  conditions: {{ready: {ready}}}\n  nodeName: node\n  \
             targetRef: {{kind: Pod, name: {name}, namespace: istioinaction}}\n"
        )
    };
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: catalog-ipv4\n  \
         namespace: istioinaction\n  labels: {{kubernetes.io/service-name: catalog}}\n\
         addressType: IPv4\nports: [{{name: http, protocol: TCP, port: 3000}}]\nendpoints:\n{}{}",
        endpoint("catalog-v1", 12, true),
        endpoint("catalog-v2", 13, ready)
    )
}
