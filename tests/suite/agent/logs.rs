//! What the agent logs: one line for each apply, which says what changed.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use steer_tests::harness::test;

use crate::stage::{Stage, raise_lab};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("logs::an_apply_is_one_line", one_line),
        test("logs::levels_that_cannot_be_read_are_refused", levels),
    ]
}

/// The lines of a log in JSON, from a place on.
fn lines(stage: &Stage, from: usize) -> Result<Vec<Value>> {
    let text = fs::read_to_string(stage.agent.log())?;
    let lines = text.get(from..).context("the log only grows")?.lines();
    lines
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

fn one_line() -> Result<()> {
    let lab = raise_lab("logs")?;
    let agent = lab.agent_with(&["--log-json"])?;
    let stage = Stage { lab, agent };
    let began = lines(&stage, 0)?;
    let ready = began
        .iter()
        .find(|line| line["fields"]["message"] == "agent is ready");
    let ready = &ready.context("it says that it is ready")?["fields"];
    ensure!(
        ready["version"].is_string() && ready["generation"] == 1 && ready["pods"].is_u64(),
        "{ready:#}"
    );
    let before = fs::metadata(stage.agent.log())?.len();
    stage.split([50, 50])?;
    // What is written once it is in force comes after it: another change, and that is told too.
    stage.split([70, 30])?;
    let from = usize::try_from(before)?;
    let second = |lines: &[Value]| lines.iter().any(|line| line["fields"]["generation"] == 3);
    let told = crate::stage::eventually("the line of the second change", || {
        let told = lines(&stage, from)?;
        Ok(second(&told).then_some(told))
    })?;
    ensure!(told.len() == 2, "one line for each apply: {told:#?}");
    for (line, generation) in told.iter().zip(2..) {
        let fields = &line["fields"];
        ensure!(
            line["level"] == "INFO"
                && line["timestamp"].is_string()
                && fields["message"] == "applied"
                && fields["generation"] == generation
                // One of IPv4, one of IPv6.
                && fields["services_changed"] == 2
                && fields["services"] == "catalog.istioinaction.svc.cluster.local:80"
                && fields["pods_changed"] == 0
                && fields["egress_writes"] == 0
                && fields["writes"].as_u64() > Some(0)
                && fields["findings"].is_u64()
                && fields["took_us"].as_u64() > Some(0),
            "{line:#}"
        );
    }
    Ok(())
}

fn levels() -> Result<()> {
    let lab = raise_lab("levels")?;
    let mut command = lab.agent_command()?;
    let output = command.env("STEER_LOG", "steer=loud").output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "{complaint}");
    ensure!(
        complaint.contains("STEER_LOG is \"steer=loud\", which is not understood"),
        "{complaint}"
    );
    Ok(())
}
