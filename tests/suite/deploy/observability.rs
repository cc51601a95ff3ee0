//! The dashboard and the rules of Prometheus: every metric in them is one that the agent tells, and what
//! promtool knows of rules and queries holds.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use steer::telemetry::ALL;
use steer_tests::{bins, harness::requiring, need};

use crate::helm::{documents, output, plain};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        plain("observability::every_metric_is_told", metrics),
        plain("observability::the_dashboard_is_one", dashboard),
        with_promtool("observability::promtool_takes_the_rules", rules),
        with_promtool("observability::promtool_takes_the_queries", queries),
    ]
}

const RULES: &str = "deploy/prometheus/rules.yaml";
const DASHBOARD: &str = "deploy/grafana/steer.json";

/// A test that needs promtool, and nothing else.
fn with_promtool(name: &str, run: fn() -> Result<()>) -> Trial {
    requiring(|| need::find("promtool").map(drop), name, run)
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(bins::workspace().join(name)).with_context(|| name.to_owned())
}

/// The queries of the rules, and of the dashboard's panels.
fn all_queries() -> Result<Vec<String>> {
    let rules = documents(&read(RULES)?)?;
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?)?;
    let mut found = Vec::new();
    for document in rules.iter().chain([&dashboard]) {
        collect(document, &mut found);
    }
    ensure!(found.len() > 20, "{found:?}");
    Ok(found)
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| name == "expr") {
                    Some(query) => found.push(query.to_owned()),
                    None => collect(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn metrics() -> Result<()> {
    let mut known = BTreeSet::new();
    for metric in ALL {
        known.insert(metric.name.to_owned());
        known.insert(format!("{}_bucket", metric.name));
    }
    for query in all_queries()? {
        let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        let ours = |word: &&str| word.starts_with("istio_") || word.starts_with("steer_");
        for word in words.filter(ours) {
            ensure!(known.contains(word), "{word} of {query} is not told");
        }
    }
    Ok(())
}

/// What Grafana needs of a dashboard to show it whole: numbers that differ, places within 24 columns that
/// do not overlap, a data source by variable, and queries that have something.
fn dashboard() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)?)?;
    for field in ["title", "uid", "schemaVersion", "templating", "time"] {
        ensure!(!dashboard[field].is_null(), "it has no {field}");
    }
    let panels = dashboard["panels"].as_array().context("panels")?;
    let (mut numbers, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().context("a title")?;
        ensure!(
            numbers.insert(panel["id"].as_u64()),
            "{title}: its number is taken"
        );
        let at = |field: &str| panel["gridPos"][field].as_u64().context("a place");
        let (x, y, w, h) = (at("x")?, at("y")?, at("w")?, at("h")?);
        ensure!(x + w <= 24, "{title} is too wide");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} is over another");
        }
        if panel["type"] == "row" {
            continue;
        }
        ensure!(panel["datasource"]["uid"] == "${datasource}", "{title}");
        let targets = panel["targets"].as_array().context("queries")?;
        ensure!(!targets.is_empty(), "{title} asks nothing");
    }
    Ok(())
}

fn rules() -> Result<()> {
    let path = bins::workspace().join(RULES);
    let mut command = Command::new(need::find("promtool")?);
    output(command.args(["check", "rules"]).arg(path)).map(drop)
}

/// Queries of the dashboard as rules, with Grafana's variables put in. A query that is none is found.
fn queries() -> Result<()> {
    let all = all_queries()?;
    check(&all)?;
    if check(&["sum by (".to_owned()]).is_ok() {
        bail!("promtool takes anything");
    }
    Ok(())
}

fn check(queries: &[String]) -> Result<()> {
    let rule = |(number, query): (usize, &String)| {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$namespace", ".*");
        json!({"record": format!("check:{number}"), "expr": query})
    };
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let text = json!({"groups": [{"name": "check", "rules": rules}]}).to_string();
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), text)?;
    let mut command = Command::new(need::find("promtool")?);
    command.args(["check", "rules"]).arg(file.path());
    output(command.stdin(Stdio::null())).map(drop)
}
