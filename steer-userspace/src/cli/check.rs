//! `steer check`: findings, in the format of `istioctl analyze`.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Context as _;
use clap::builder::styling::Style;
use serde_json::Value;

use super::{
    Exit,
    args::{Check, Instance, Threshold},
    output::{self, BAD, CAREFUL, GOOD, paint},
};
use crate::{
    desired::lower,
    finding::{Finding, Severity},
    source::files::Reader,
};

/// Checks files, or tells what the agent found.
pub(super) fn run(args: &Check, instance: &Instance) -> anyhow::Result<Exit> {
    let findings = if args.files.is_empty() {
        of_agent(instance)?
    } else {
        readable(&args.files)?;
        values(&of_files(args))?
    };
    output::write(&output::answer(
        &findings,
        args.output.output,
        |found, wide| lines(found, wide),
    )?)?;
    if findings.is_empty() {
        let mark = paint(GOOD, "\u{2714}");
        let what = analyzed(args, instance);
        output::remark(&format!(
            "{mark} No validation issues found when analyzing {what}."
        ));
    }
    let threshold = match args.failure_threshold {
        Threshold::Info => Severity::Info,
        Threshold::Warning => Severity::Warning,
        Threshold::Error => Severity::Error,
    };
    Ok(if worst(&findings) >= Some(threshold) {
        Exit::Findings
    } else {
        Exit::Done
    })
}

/// What was named on the command line must be there: that is no finding, but a mistake in typing.
pub(super) fn readable(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    }
    Ok(())
}

fn of_files(args: &Check) -> Vec<Finding> {
    let mut findings = match Reader::new(args.files.clone()).read() {
        Err(findings) => findings,
        Ok(snapshot) => {
            let snapshot = snapshot.unwrap_or_default();
            let local: BTreeSet<_> = snapshot.pod_addresses().into_values().collect();
            let mut findings = snapshot.findings.clone();
            findings.extend(lower(&snapshot, &args.naming.clone().into(), &local).findings);
            findings
        }
    };
    findings.sort();
    findings.dedup();
    findings
}

fn of_agent(instance: &Instance) -> anyhow::Result<Vec<Value>> {
    let Some(status) = instance.status()? else {
        anyhow::bail!(
            "no agent has run with the state directory {}: name files with -f, or the agent's \
             directory with --state",
            instance.state.display()
        );
    };
    Ok(status["findings"].as_array().cloned().unwrap_or_default())
}

/// What the findings would have been about.
fn analyzed(args: &Check, instance: &Instance) -> String {
    if args.files.is_empty() {
        return format!(
            "what the agent reads (state directory {})",
            instance.state.display()
        );
    }
    let paths: Vec<String> = args
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

/// Findings as the agent's status has them.
pub(super) fn values(findings: &[Finding]) -> anyhow::Result<Vec<Value>> {
    findings
        .iter()
        .map(|finding| Ok(serde_json::to_value(finding)?))
        .collect()
}

/// The worst severity among findings.
pub(super) fn worst(findings: &[Value]) -> Option<Severity> {
    findings.iter().filter_map(severity).max()
}

fn severity(finding: &Value) -> Option<Severity> {
    match finding["severity"].as_str()? {
        "info" => Some(Severity::Info),
        "warning" => Some(Severity::Warning),
        "error" => Some(Severity::Error),
        _ => None,
    }
}

/// Findings, a line each; with what to do about them if `wide`.
pub(super) fn lines(findings: &[Value], wide: bool) -> String {
    findings.iter().map(|finding| line(finding, wide)).collect()
}

/// `Warning [IST0101] (VirtualService shop/catalog a.yaml:12) text`, and what to do.
pub(super) fn line(finding: &Value, wide: bool) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let level = severity(finding).map_or_else(String::new, |severity| {
        paint(style(severity), &severity.to_string())
    });
    let object = &finding["object"];
    let name = match (text(&object["namespace"]), text(&object["name"])) {
        (namespace, name) if namespace.is_empty() => name,
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let about: Vec<String> = [text(&object["kind"]), name, place(&finding["position"])]
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
    let field = text(&finding["field"]);
    let message = text(&finding["message"]);
    let message = if field.is_empty() || message.starts_with(&field) {
        message
    } else {
        format!("{field}: {message}")
    };
    format!(
        "{level} [{}]{about} {message}{help}\n",
        text(&finding["code"])
    )
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Info => Style::new(),
        Severity::Warning => CAREFUL,
        Severity::Error => BAD,
    }
}

/// `a.yaml:12`.
fn place(position: &Value) -> String {
    let file = position["file"].as_str().unwrap_or_default();
    match position["line"].as_u64().unwrap_or_default() {
        0 => file.to_owned(),
        line => format!("{file}:{line}"),
    }
}
