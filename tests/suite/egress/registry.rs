//! The same policy by way of the agent: files, and `steer agent` on the node.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use steer_tests::{agent::Agent, lab::Lab, record::Kind, wait};

use crate::ground::{ATTACKER, DNS, GOOD, SCRIPTED, address_of};

/// What the mesh says, and what namespace `free` says otherwise.
const MESH: &str = include_str!("mesh.yaml");
const REGISTRY: &str = include_str!("registry.yaml");
/// How long the agent may take to resolve a name: the machine may be busy.
const RESOLVED_MAX: Duration = Duration::from_secs(30);

/// Starts the agent on a lab that is full of life, with the policy in its files.
pub(crate) fn start(lab: &Lab) -> Result<Agent> {
    lab.configure("registry.yaml", REGISTRY)?;
    let agent = start_without_entries(lab)?;
    await_good(lab)?;
    Ok(agent)
}

/// The same, with nothing outside in the registry.
pub(crate) fn start_without_entries(lab: &Lab) -> Result<Agent> {
    lab.configure("mesh.yaml", MESH)?;
    lab.configure("pods.yaml", &pods(lab)?)?;
    let resolvers = [DNS, SCRIPTED].map(|name| address_of(name).map(|address| address.to_string()));
    let [first, second] = resolvers;
    let (first, second) = (first?, second?);
    lab.agent_with(&[
        "--dns",
        &first,
        "--dns",
        &second,
        "--dns-ttl-min",
        "2",
        "--cluster-cidr",
        "10.10.0.0/16",
        "--cluster-cidr",
        "fd00:10::/32",
    ])
}

/// Waits until the agent knows the addresses of the allowed name.
fn await_good(lab: &Lab) -> Result<()> {
    wait::until(
        RESOLVED_MAX,
        &format!("the agent to resolve {GOOD}"),
        || {
            let mut command = lab.steer("get")?;
            let output = command.args(["endpoints", GOOD, "-o", "json"]).output()?;
            let rows: Value =
                serde_json::from_slice(&output.stdout).context("understand steer get")?;
            let known = rows.as_array().is_some_and(|rows| !rows.is_empty());
            Ok(if known {
                Ok(())
            } else {
                Err("it has no endpoints".to_owned())
            })
        },
    )
}

/// What Kubernetes would say of the pods.
fn pods(lab: &Lab) -> Result<String> {
    let mut text = String::new();
    let pods = lab.hosts().iter();
    for pod in pods.filter(|host| host.record().kind == Kind::Pod) {
        let namespace = if pod.name() == ATTACKER {
            "held"
        } else {
            "free"
        };
        let name = pod.name();
        writeln!(text, "---\napiVersion: v1\nkind: Pod")?;
        writeln!(text, "metadata: {{name: {name}, namespace: {namespace}}}")?;
        writeln!(
            text,
            "spec: {{containers: [{{name: main, image: main}}]}}\nstatus:\n  phase: Running"
        )?;
        writeln!(text, "  podIPs:")?;
        for address in &pod.record().addresses {
            writeln!(text, "    - ip: '{address}'")?;
        }
    }
    Ok(text)
}
