//! `steer check`: findings, in the format of `istioctl analyze`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Exit,
    args::{Check, Format, Instance, Threshold},
    output,
};
use crate::{
    desired::lower,
    finding::{Finding, Severity},
    source::files::Reader,
};

/// Checks files, or tells what the agent found.
pub(super) fn run(args: Check, instance: &Instance) -> anyhow::Result<Exit> {
    let findings = if args.files.is_empty() {
        of_agent(instance.status()?)?
    } else {
        let findings = of_files(&args);
        findings
            .into_iter()
            .map(|finding| Ok(serde_json::to_value(finding)?))
            .collect::<anyhow::Result<_>>()?
    };
    match args.output.output {
        Format::Json | Format::Yaml => output::document(&findings, args.output.output)?,
        Format::Table | Format::Wide => {
            let wide = args.output.output == Format::Wide;
            output::write(
                &findings
                    .iter()
                    .map(|finding| line(finding, wide))
                    .collect::<String>(),
            )?;
            if findings.is_empty() {
                eprint("\u{2714} No validation issues found.");
            }
        }
    }
    let worst = findings
        .iter()
        .filter_map(|finding| level(finding["severity"].as_str()?))
        .max();
    let threshold = match args.failure_threshold {
        Threshold::Info => Severity::Info,
        Threshold::Warning => Severity::Warning,
        Threshold::Error => Severity::Error,
    };
    Ok(if worst >= Some(threshold) {
        Exit::Findings
    } else {
        Exit::Done
    })
}

fn of_files(args: &Check) -> Vec<Finding> {
    match Reader::new(args.files.clone()).read() {
        Err(findings) => findings,
        Ok(snapshot) => {
            let snapshot = snapshot.unwrap_or_default();
            let local: BTreeSet<_> = snapshot.pod_addresses().into_values().collect();
            let mut findings = snapshot.findings.clone();
            findings.extend(lower(&snapshot, &args.naming.clone().into(), &local).findings);
            findings.sort();
            findings.dedup();
            findings
        }
    }
}

fn of_agent(status: Option<Value>) -> anyhow::Result<Vec<Value>> {
    let Some(status) = status else {
        anyhow::bail!(
            "no agent has run here; name files with -f, or the agent's directory with --state"
        );
    };
    Ok(status["findings"].as_array().cloned().unwrap_or_default())
}

fn level(text: &str) -> Option<Severity> {
    match text {
        "info" => Some(Severity::Info),
        "warning" => Some(Severity::Warning),
        "error" => Some(Severity::Error),
        _ => None,
    }
}

/// `Warning [IST0101] (VirtualService shop/catalog a.yaml:12) text`, and what to do.
pub(super) fn line(finding: &Value, wide: bool) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let severity =
        level(&text(&finding["severity"])).map_or_else(String::new, |found| found.to_string());
    let object = &finding["object"];
    let name = match (text(&object["namespace"]), text(&object["name"])) {
        (namespace, name) if namespace.is_empty() => name,
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let position = &finding["position"];
    let place = match (
        text(&position["file"]),
        position["line"].as_u64().unwrap_or_default(),
    ) {
        (file, 0) => file,
        (file, line) => format!("{file}:{line}"),
    };
    let about: Vec<String> = [text(&object["kind"]), name, place]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let about = if about.is_empty() {
        String::new()
    } else {
        format!(" ({})", about.join(" "))
    };
    let help = text(&finding["help"]);
    let help = if help.is_empty() || !wide {
        String::new()
    } else {
        format!("\n    {help}")
    };
    format!(
        "{severity} [{}]{about} {}{help}\n",
        text(&finding["code"]),
        text(&finding["message"])
    )
}

/// Tells people something that is not part of the output.
fn eprint(text: &str) {
    use std::io::Write as _;
    // Nobody is left to be told if standard error is closed.
    let _told = writeln!(std::io::stderr(), "{text}");
}
