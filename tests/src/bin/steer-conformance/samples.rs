//! Samples: each is read, validated and compiled; every field that is not enforced is named.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};
use steer::{
    desired::{Settings, lower},
    finding::{Finding, ObjectRef, Severity},
    source::{Snapshot, document, files::parse_text},
};

use crate::{
    resources::Read,
    table::{Case, Outcome, Table, texts},
};

pub(crate) fn judge(table: &Table, case: &Case) -> Result<Outcome> {
    let file = case["file"].as_str().unwrap_or_default();
    let text = table.text(file)?;
    let (objects, findings) = match parse_text(file, &text) {
        Ok(found) => found,
        Err(findings) => {
            let messages: Vec<_> = findings.into_iter().map(|found| found.message).collect();
            return Ok(failed(&messages));
        }
    };
    let read = Read { objects, findings };
    let snapshot: Snapshot = read.snapshot();
    let desired = lower(&snapshot, &Settings::default(), &BTreeSet::new());
    let findings: Vec<Finding> = snapshot
        .findings
        .into_iter()
        .chain(desired.findings)
        .collect();
    let mut wrong: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.message.clone())
        .collect();
    for kind in texts(&case["kinds"]) {
        let is_read = read
            .objects
            .iter()
            .any(|found| found.reference().kind == kind);
        let is_named = findings.iter().any(|finding| {
            let object = finding.object.as_ref();
            finding.code == "STR0201" && object.is_some_and(|object| object.kind == kind)
        });
        if !is_read && !is_named {
            wrong.push(format!("{kind} is neither read nor named"));
        }
    }
    for document in document::parse(&file.into(), &text).unwrap_or_default() {
        wrong.extend(unnamed(&document.value, &findings));
    }
    if !wrong.is_empty() {
        return Ok(failed(&wrong));
    }
    Ok(match read.unread() {
        Some(what) => Outcome::Unsupported(what),
        None => Outcome::Passed,
    })
}

fn failed(messages: &[String]) -> Outcome {
    Outcome::Failed {
        got: json!(messages),
        want: json!("read and compiled, with every field that is not enforced named"),
    }
}

/// Fields that steer enforces, `[]` for each index and `*` for each key.
const ENFORCED: [(&str, &[&str]); 3] = [
    (
        "Gateway",
        &[
            "spec.selector.*",
            "spec.servers[].name",
            "spec.servers[].hosts[]",
            "spec.servers[].port.number",
            "spec.servers[].port.name",
            "spec.servers[].port.protocol",
            "spec.servers[].tls.mode",
            "spec.servers[].tls.httpsRedirect",
            "spec.servers[].tls.credentialName",
            "spec.servers[].tls.minProtocolVersion",
            "spec.servers[].tls.maxProtocolVersion",
        ],
    ),
    (
        "VirtualService",
        &[
            "spec.hosts[]",
            "spec.exportTo[]",
            "spec.gateways[]",
            "spec.http[].name",
            "spec.http[].match[].name",
            "spec.http[].match[].port",
            "spec.http[].match[].sourceLabels.*",
            "spec.http[].match[].sourceNamespace",
            "spec.http[].match[].gateways[]",
            "spec.http[].match[].uri.*",
            "spec.http[].match[].scheme.*",
            "spec.http[].match[].method.*",
            "spec.http[].match[].authority.*",
            "spec.http[].match[].headers.*",
            "spec.http[].match[].withoutHeaders.*",
            "spec.http[].match[].queryParams.*",
            "spec.http[].match[].ignoreUriCase",
            "spec.http[].headers.*",
            "spec.http[].rewrite.*",
            "spec.http[].redirect.*",
            "spec.http[].directResponse.*",
            "spec.http[].timeout",
            "spec.http[].retries.attempts",
            "spec.http[].retries.perTryTimeout",
            "spec.http[].retries.retryOn",
            "spec.http[].retries.backoff",
            "spec.http[].fault.delay.percent",
            "spec.http[].fault.delay.percentage.*",
            "spec.http[].fault.delay.fixedDelay",
            "spec.http[].fault.abort.percentage.*",
            "spec.http[].fault.abort.httpStatus",
            "spec.http[].fault.abort.grpcStatus",
            "spec.http[].route[].headers.*",
            "spec.http[].route[].destination.host",
            "spec.http[].route[].destination.subset",
            "spec.http[].route[].destination.port.number",
            "spec.http[].route[].weight",
            "spec.http[].delegate.name",
            "spec.http[].delegate.namespace",
            "spec.tcp[].match[].port",
            "spec.tcp[].match[].destinationSubnets[]",
            "spec.tcp[].match[].sourceLabels.*",
            "spec.tcp[].match[].sourceNamespace",
            "spec.tcp[].match[].gateways[]",
            "spec.tcp[].route[].destination.host",
            "spec.tcp[].route[].destination.subset",
            "spec.tcp[].route[].destination.port.number",
            "spec.tcp[].route[].weight",
        ],
    ),
    (
        "DestinationRule",
        &[
            "spec.host",
            "spec.exportTo[]",
            "spec.subsets[].name",
            "spec.subsets[].labels.*",
            "spec.workloadSelector.matchLabels.*",
        ],
    ),
];

/// Values that need nothing to be done: these balance as steer does, this encrypts nothing, and this is every path.
const HARMLESS: [(&str, &[&str]); 3] = [
    (
        ".loadBalancer.simple",
        &[
            "ROUND_ROBIN",
            "RANDOM",
            "LEAST_REQUEST",
            "LEAST_CONN",
            "UNSPECIFIED",
        ],
    ),
    (".tls.mode", &["DISABLE"]),
    (".uri.prefix", &["/"]),
];

/// The fields of a document that are neither enforced nor named by a finding.
fn unnamed(document: &Value, findings: &[Finding]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&document["kind"]);
    // The Gateway API has kinds of the same names, which are not read.
    if !text(&document["apiVersion"]).starts_with("networking.istio.io/") {
        return Vec::new();
    }
    let Some((_, enforced)) = ENFORCED.iter().find(|(known, _)| *known == kind) else {
        return Vec::new();
    };
    let name = text(&document["metadata"]["name"]);
    let object = |found: &ObjectRef| found.kind == kind && found.name == name;
    let fields: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.object.as_ref().is_some_and(object))
        .map(|finding| finding.field.as_str())
        .collect();
    let mut leaves = Vec::new();
    walk(
        "spec".to_owned(),
        "spec".to_owned(),
        &document["spec"],
        &mut leaves,
    );
    leaves
        .into_iter()
        .filter(|leaf| !enforced.iter().any(|known| is_of(&leaf.pattern, known)))
        .filter(|leaf| {
            !HARMLESS.iter().any(|(end, values)| {
                leaf.pattern.ends_with(end) && values.iter().any(|value| leaf.value == *value)
            })
        })
        .filter(|leaf| !fields.iter().any(|field| is_within(&leaf.path, field)))
        .map(|leaf| format!("{kind} {name}: {} is not named", leaf.path))
        .collect()
}

/// A value that is not taken apart.
struct Leaf {
    path: String,
    pattern: String,
    value: Value,
}

fn walk(path: String, pattern: String, value: &Value, leaves: &mut Vec<Leaf>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                walk(
                    format!("{path}.{key}"),
                    format!("{pattern}.{key}"),
                    value,
                    leaves,
                );
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                walk(
                    format!("{path}[{index}]"),
                    format!("{pattern}[]"),
                    value,
                    leaves,
                );
            }
        }
        value => leaves.push(Leaf {
            path,
            pattern,
            value: value.clone(),
        }),
    }
}

/// Whether a path is a known one, where `*` stands for any rest.
fn is_of(path: &str, known: &str) -> bool {
    match known.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == known,
    }
}

/// Whether a field is `outer`, or inside it.
fn is_within(field: &str, outer: &str) -> bool {
    field
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
