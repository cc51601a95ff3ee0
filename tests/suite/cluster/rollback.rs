//! Earlier rules are returned to, though a cluster has only the newest: for the pods and services of
//! now, until other rules are written there or they are released.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::harness::test;

use crate::stage::Stage;

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

fn until_written() -> Result<()> {
    let mut stage = Stage::raise("kube-rollback")?;
    stage.await_split([90, 10])?;
    stage.split([50, 50])?;
    stage.await_split([50, 50])?;
    let (code, list) = rollback(&stage, &["--list"])?;
    ensure!(code == Some(0) && list.lines().count() == 3, "{list}");
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
