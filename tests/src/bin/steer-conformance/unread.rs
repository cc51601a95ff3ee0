//! Tables of what steer does not have yet: each case says what that is.

use anyhow::{Result, bail};
use serde_json::json;
use steer::source::files::parse_text;

use crate::{
    resources::{Read, list},
    table::{Case, Outcome, Table, texts},
};

/// Cases made of resources, in themselves or in files: the kind that is not enforced is named by
/// steer itself. A case that has none is judged nowhere, so it fails.
pub(crate) fn judge(table: &Table, case: &Case) -> Result<Outcome> {
    if case.get("command").is_some() {
        return unsupported(
            "steer prints what the kernel holds; it reads no dump of Envoy or ztunnel",
        );
    }
    if case.get("analyzer").is_some() {
        return unsupported("steer check runs all of its checks at once, not one analyzer");
    }
    if case.get("mode").is_some() {
        return unsupported(
            "calls over real connections, and what metrics say of them: steer has no metrics yet",
        );
    }
    let mut read = Read::values(list(&case["resources"]));
    for file in files(case) {
        match parse_text(&file, &table.text(&file)?) {
            Ok((objects, findings)) => {
                read.objects.extend(objects);
                read.findings.extend(findings);
            }
            Err(findings) => read.findings.extend(findings),
        }
    }
    match (read.unread(), case["expect"]["valid"].as_bool()) {
        (Some(what), _) => unsupported(&what),
        (None, Some(wants_valid)) => Ok(Outcome::compare(
            read.errors("").is_empty(),
            &json!(wants_valid),
        )),
        (None, None) => bail!("steer reads every kind of this case, and nothing judges it"),
    }
}

fn files(case: &Case) -> Vec<String> {
    let named = ["file", "input"]
        .into_iter()
        .filter_map(|field| case[field].as_str());
    let listed = texts(&case["Manifests"]);
    named.chain(listed).map(str::to_owned).collect()
}

pub(crate) fn crd(_: &Table, _: &Case) -> Result<Outcome> {
    unsupported("steer has no CRD schemas: the API server validates against them")
}

pub(crate) fn virtual_hosts(_: &Table, _: &Case) -> Result<Outcome> {
    unsupported(
        "names of virtual hosts: a request is for the service that was dialled, whatever it names",
    )
}

#[expect(clippy::unnecessary_wraps, reason = "every judge answers alike")]
fn unsupported(what: &str) -> Result<Outcome> {
    Ok(Outcome::Unsupported(what.to_owned()))
}
