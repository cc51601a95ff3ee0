//! Names of hosts: patterns, lists, order.

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use steer::source::host;

use crate::table::{Case, Outcome, Table, texts};

pub(crate) fn host_match(_: &Table, case: &Case) -> Result<Outcome> {
    let a = case["a"].as_str().context("a")?;
    let b = case["b"].as_str().context("b")?;
    let got = match case["op"].as_str() {
        Some("matches") => host::overlaps(a, b),
        Some("subset-of") => host::covers(b, a),
        op => bail!("unknown op {op:?}"),
    };
    Ok(Outcome::compare(got, &case["expect"]))
}

pub(crate) fn host_names(_: &Table, case: &Case) -> Result<Outcome> {
    let got = match case["op"].as_str() {
        Some("intersection") => json!(host::intersection(&texts(&case["a"]), &texts(&case["b"]))),
        Some("for-namespace") => {
            let namespace = case["namespace"].as_str().context("namespace")?;
            json!(host::of_namespace(&texts(&case["hosts"]), namespace))
        }
        Some("sort") => {
            let mut names = texts(&case["in"]);
            names.sort_by(|a, b| host::specificity(a).cmp(&host::specificity(b)));
            json!(names)
        }
        Some("more-specific") => {
            let one = case["host1"].as_str().context("host1")?;
            let other = case["host2"].as_str().context("host2")?;
            json!(host::is_more_specific(one, other))
        }
        op => bail!("unknown op {op:?}"),
    };
    Ok(Outcome::compare(got, &case["expect"]))
}
