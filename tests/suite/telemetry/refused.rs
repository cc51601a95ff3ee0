//! From a refused connection to the rule that refused it, by the commands of docs/guide/refused.md.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    harness::test,
    topology::{self, ELSEWHERE_NAME, OUTSIDE_NAME},
};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("refused::the_rule_is_found_with_its_line", walk)]
}

/// The file that says `REGISTRY_ONLY`.
const RULE: &str = "registry-only.yaml";

fn walk() -> Result<()> {
    let stage = Stage::raise("refused", &[RULE, "service-entry.yaml"], &[])?;
    let pod = stage.lab.pod("webapp")?;
    let dial = |host: &str| pod.run("curl", &["-sS4", "--max-time", "10", &url(host)]);
    let complaint = dial(ELSEWHERE_NAME).err().context("it was reached")?;
    ensure!(
        complaint.to_string().contains("Failed to connect"),
        "{complaint}"
    );

    stage.eventually("the refusal among the events", || {
        let events = steer(&stage, &["events"])?.1;
        let mut lines = events.lines();
        Ok(lines.any(|line| {
            [
                "refused",
                "istioinaction/webapp",
                ELSEWHERE_NAME,
                "not_in_registry",
            ]
            .iter()
            .all(|word| line.contains(word))
        }))
    })?;

    let target = format!("{ELSEWHERE_NAME}:80");
    let (good, told) = steer(&stage, &["explain", "istioinaction/webapp", &target])?;
    let rule = format!("MeshConfig istio-system/istio, at {}", place(&stage)?);
    for words in [
        rule.as_str(),
        "the registry does not name it",
        "steer learn -n istioinaction",
    ] {
        ensure!(told.contains(words), "{words:?} is not in\n{told}");
    }
    ensure!(told.trim_end().ends_with("refused") && !good, "{told}");
    // An entry that has the host, but not the port.
    let port = format!("{OUTSIDE_NAME}:81");
    let (_, told) = steer(&stage, &["explain", "istioinaction/webapp", &port])?;
    let named = "it does not name port 81: ServiceEntry istioinaction/jsonplaceholder, at ";
    ensure!(
        told.contains(named) && told.contains("service-entry.yaml:"),
        "{told}"
    );
    // By its address, as a log may have it.
    let (_, told) = steer(
        &stage,
        &["explain", "istioinaction/webapp", "192.0.2.11:80"],
    )?;
    ensure!(
        told.contains(&rule) && told.contains(ELSEWHERE_NAME) && told.contains("refused"),
        "{told}"
    );

    let (_, allowed) = steer(&stage, &["get", "egress", "-o", "wide"])?;
    ensure!(
        allowed.contains(OUTSIDE_NAME) && !allowed.contains(ELSEWHERE_NAME),
        "{allowed}"
    );
    let (_, status) = steer(&stage, &["status", "-o", "json"])?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    let refused = status["reasons"]["not_in_registry"].as_u64();
    ensure!(refused > Some(0), "{:#}", status["reasons"]);

    // What would have allowed it, does.
    let (_, learned) = steer(&stage, &["learn", "-n", "istioinaction"])?;
    stage.lab.configure("learned.yaml", &learned)?;
    stage.eventually("the call to pass", || Ok(dial(ELSEWHERE_NAME).is_ok()))?;
    let (_, told) = steer(&stage, &["explain", "istioinaction/webapp", &target])?;
    ensure!(
        told.contains("ServiceEntry istioinaction/learned-httpbin-org, at ")
            && told.contains("learned.yaml:"),
        "{told}"
    );
    Ok(())
}

fn url(host: &str) -> String {
    format!("http://{host}/")
}

/// `FILE:LINE:` of what says `REGISTRY_ONLY`.
fn place(stage: &Stage) -> Result<String> {
    let path = topology::bookstore_directory().join("steps").join(RULE);
    let text = fs::read_to_string(path)?;
    let line = text.lines().position(|line| line.contains("REGISTRY_ONLY"));
    let line = line.context("the file says REGISTRY_ONLY")?;
    let file = stage.lab.dirs().config().join(RULE);
    Ok(format!("{}:{}:", file.display(), line + 1))
}

/// Whether a command succeeds, and what it prints.
fn steer(stage: &Stage, arguments: &[&str]) -> Result<(bool, String)> {
    let (command, rest) = arguments.split_first().context("a command")?;
    let output = stage.lab.steer(command)?.args(rest).output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(
        !text.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((output.status.success(), text))
}
