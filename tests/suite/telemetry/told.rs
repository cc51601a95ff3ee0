//! Connections that are open, and events as they happen.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::{harness::test, topology::ELSEWHERE_NAME};

use crate::{lasting::Client, stage::Stage};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("told::connections_are_listed_without_an_agent", listed),
        test("told::events_come_as_they_happen", events),
    ]
}

/// What `steer get connections` lists of a pod.
fn connections(stage: &Stage, pod: &str) -> Result<Vec<Value>> {
    let mut command = stage.lab.steer("get")?;
    let output = command.args(["connections", pod, "-o", "json"]).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{complaint}");
    let listed: Value = serde_json::from_slice(&output.stdout)?;
    Ok(listed.as_array().context("a list")?.clone())
}

fn listed() -> Result<()> {
    let steps = ["destination-rule.yaml", "route-v1.yaml"];
    let mut stage = Stage::raise("listed", &steps, &[])?;
    let mut client = Client::start(&stage)?;
    ensure!(client.next()? == "open", "it connects");
    let cluster = "outbound|80|version-v1|catalog.istioinaction.svc.cluster.local";
    let check = |stage: &Stage| -> Result<()> {
        let found = connections(stage, "client")?;
        let [one] = found.as_slice() else {
            anyhow::bail!("one connection expected: {found:#?}");
        };
        ensure!(
            one["dialled"] == "10.200.1.92:80"
                && one["cluster"] == cluster
                && one["remote"] == "10.10.0.12:3000"
                && one["state"] == "ESTAB",
            "{one:#}"
        );
        let accepted = connections(stage, "catalog-v1")?;
        let other = accepted
            .iter()
            .find(|other| other["remote"] == one["local"]);
        let other = other.context("the other end")?;
        ensure!(other["dialled"].is_null(), "{other:#}");
        Ok(())
    };
    check(&stage)?;
    stage.stop()?;
    check(&stage)?;
    client.next()?;
    ensure!(client.next()? == "closed", "it closes");
    let left = connections(&stage, "client")?;
    let open = left.iter().filter(|one| one["state"] == "ESTAB").count();
    ensure!(open == 0, "{left:#?}");
    Ok(())
}

fn events() -> Result<()> {
    let stage = Stage::raise("events", &["registry-only.yaml"], &[])?;
    let mut follower = stage
        .lab
        .steer("events")?
        .args(["--follow", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(follower.stdout.take().context("an output")?).lines();
    let mut wait = |event: &str| -> Result<Value> {
        loop {
            let line = lines.next().context("it goes on")??;
            let found: Value = serde_json::from_str(&line)?;
            if found["event"] == event {
                return Ok(found);
            }
        }
    };
    // The first one was before anybody listened.
    ensure!(
        wait("reconfigured")?["generation"] == 1,
        "the first generation"
    );
    let url = format!("http://{ELSEWHERE_NAME}/");
    let client = stage.lab.pod("client")?;
    let refused = client.run("curl", &["-sS4", "--max-time", "10", &url]);
    ensure!(refused.is_err(), "what nobody declares was reached");
    let refused = wait("refused")?;
    ensure!(
        refused["pod"]["name"] == "client" && refused["name"] == ELSEWHERE_NAME,
        "{refused:#}"
    );
    stage.lab.configure("broken.yaml", "kind: [")?;
    wait("configuration_refused")?;
    stage.lab.unconfigure("broken.yaml")?;
    stage.lab.configure("entry.yaml", ENTRY)?;
    wait("reconfigured")?;
    // Whoever does not follow gets those that were kept, and ends.
    let output = stage.lab.steer("events")?.output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{text}");
    for word in ["reconfigured", "refused", "not applied"] {
        ensure!(text.contains(word), "{word} is not in {text}");
    }
    follower.kill()?;
    follower.wait()?;
    Ok(())
}

const ENTRY: &str = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: elsewhere, namespace: istioinaction}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
";
