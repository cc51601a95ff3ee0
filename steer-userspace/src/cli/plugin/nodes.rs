//! The nodes side by side. Pure.

use serde::Serialize;
use serde_json::Value;

use super::super::output::{self, Row};

/// A pod of steer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Agent {
    pub(super) node: String,
    pub(super) pod: String,
    ready: bool,
}

/// The pods in a list of them, by node. One that is on its way out counts if no other is there.
pub(super) fn agents(list: &Value) -> Vec<Agent> {
    let items = list["items"].as_array().into_iter().flatten();
    let mut agents: Vec<(Agent, bool)> = items
        .filter_map(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            let ready = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            let agent = Agent {
                node: pod["spec"]["nodeName"].as_str()?.to_owned(),
                pod: pod["metadata"]["name"].as_str()?.to_owned(),
                ready,
            };
            Some((agent, pod["metadata"]["deletionTimestamp"].is_string()))
        })
        .collect();
    agents.sort_by(|(one, ends), (other, other_ends)| {
        (&one.node, ends, &one.pod).cmp(&(&other.node, other_ends, &other.pod))
    });
    agents.dedup_by(|(other, _), (one, _)| other.node == one.node);
    agents.into_iter().map(|(agent, _)| agent).collect()
}

/// A node as it is listed.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the columns' names")]
pub(super) struct Node {
    node: String,
    pod: String,
    ready: bool,
    version: Option<String>,
    /// The generation in force.
    generation: Option<u64>,
    /// `applied`, `applying N`, `refused`, or `unknown`.
    state: String,
    programs: Option<String>,
    findings: String,
    /// What is not as it should be.
    problems: Vec<String>,
}

impl Node {
    /// From what `steer status` says there, or why it says nothing.
    pub(super) fn new(agent: &Agent, status: Result<Value, String>) -> Self {
        let mut node = Self {
            node: agent.node.clone(),
            pod: agent.pod.clone(),
            ready: agent.ready,
            version: None,
            generation: None,
            state: "unknown".to_owned(),
            programs: None,
            findings: String::new(),
            problems: Vec::new(),
        };
        match status {
            Ok(status) => node.take(&status),
            Err(error) => node.problems.push(format!("it cannot be asked: {error}")),
        }
        node
    }

    fn take(&mut self, status: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.version = text(&status["agent"]["version"]);
        self.generation = status["generation"].as_u64();
        let said = text(&status["agent"]["configuration"]);
        self.state = match (said.as_deref(), status["applying"].as_u64()) {
            (Some("refused"), _) => "refused".to_owned(),
            (_, Some(generation)) => format!("applying {generation}"),
            (Some(said), None) => said.to_owned(),
            (None, None) => "unknown".to_owned(),
        };
        if let Some(programs) = status["programs"].as_array() {
            let in_force = programs.iter().filter(|one| one["in_force"] == true);
            self.programs = Some(format!("{}/{}", in_force.count(), programs.len()));
        }
        let counts = status["findings"].as_object().into_iter().flatten();
        self.findings = counts
            .map(|(level, count)| format!("{count} {level}"))
            .collect::<Vec<_>>()
            .join(", ");
        let problems = status["problems"].as_array().into_iter().flatten();
        self.problems = problems.filter_map(text).collect();
    }

    /// Whether all is as it should be.
    pub(super) fn is_well(&self) -> bool {
        self.ready && self.problems.is_empty()
    }
}

impl Row for Node {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec![
            "NODE",
            "READY",
            "GENERATION",
            "STATE",
            "PROGRAMS",
            "FINDINGS",
            "PROBLEMS",
        ];
        if wide {
            headers.extend(["POD", "VERSION"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let problems = match self.problems.as_slice() {
            [] => "none".to_owned(),
            [one] => one.clone(),
            [one, rest @ ..] => format!("{one} (and {} more)", rest.len()),
        };
        let mut cells = vec![
            self.node.clone(),
            if self.ready { "yes" } else { "no" }.to_owned(),
            or_dash(self.generation.map(|number| number.to_string())),
            self.state.clone(),
            or_dash(self.programs.clone()),
            or_dash(Some(self.findings.clone()).filter(|text| !text.is_empty())),
            problems,
        ];
        if wide {
            cells.extend([self.pod.clone(), or_dash(self.version.clone())]);
        }
        cells
    }
}

/// The listing.
pub(super) fn text(nodes: &[Node], format: super::super::args::Format) -> anyhow::Result<String> {
    output::listing(nodes, format, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::args::Format;

    fn pod(node: &str, name: &str, ready: &str, ends: bool) -> Value {
        let mut pod = json!({
            "metadata": {"name": name},
            "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        if ends {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-05T09:00:00Z");
        }
        pod
    }

    #[test]
    fn a_node_has_one_agent_and_the_one_that_stays() {
        let list = json!({"items": [
            pod("two", "steer-c", "True", false),
            pod("one", "steer-a", "True", true),
            pod("one", "steer-b", "False", false),
            {"metadata": {"name": "steer-d"}, "spec": {}},
        ]});
        let found: Vec<String> = agents(&list).into_iter().map(|found| found.pod).collect();
        assert_eq!(found, ["steer-b", "steer-c"]);
        assert_eq!(agents(&json!({})), []);
    }

    #[test]
    fn nodes_stand_side_by_side() {
        let list = json!({"items": [
            pod("one", "steer-a", "True", false),
            pod("three", "steer-c", "True", false),
            pod("two", "steer-b", "False", false),
        ]});
        let well = json!({
            "agent": {"version": "0.1.0", "configuration": "applied"}, "generation": 7,
            "applying": null, "programs": [{"in_force": true}, {"in_force": true}],
            "findings": {"info": 2, "warning": 1}, "problems": [],
        });
        let ill = json!({
            "agent": {"version": "0.1.0", "configuration": "refused"}, "generation": 6,
            "programs": [{"in_force": true}, {"in_force": false}], "findings": {},
            "problems": ["what is written is refused", "steer_connect4 is not attached"],
        });
        let said = [Ok(well), Err("no such container".to_owned()), Ok(ill)];
        let nodes: Vec<Node> = agents(&list)
            .iter()
            .zip(said)
            .map(|(agent, said)| Node::new(agent, said))
            .collect();
        assert_eq!(
            nodes.iter().map(Node::is_well).collect::<Vec<_>>(),
            [true, false, false]
        );
        crate::cli::golden::assert("nodes", &text(&nodes, Format::Table).unwrap());
        crate::cli::golden::assert("nodes-wide", &text(&nodes, Format::Wide).unwrap());
    }
}
