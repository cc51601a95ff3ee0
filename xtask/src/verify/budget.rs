//! How many instructions the verifier may follow in each program, and how long the kernel may take to
//! load it: kept beside the tests, so that a change that makes a program dearer is seen.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::table::programs;
use crate::workspace::root;

/// What one program may cost, on the kernel that is dearest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limit {
    verified: u64,
    /// Emulated, on a machine that has other things to do as well.
    load_ms: u64,
}

/// The kernel's own limit.
const VERIFIED_MAX: u64 = 1_000_000;

fn path() -> PathBuf {
    root().join("tests/verify/budget.json")
}

/// The budget as it is kept; empty if none is.
pub(super) fn read() -> Result<BTreeMap<String, Limit>> {
    let path = path();
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "{} is missing; type: cargo xtask verify --bless",
            path.display()
        )
    })?;
    let kept: Map<String, Value> = serde_json::from_str(&text).context("the budget")?;
    let one = |(name, value): (String, Value)| {
        let number = |field: &str| {
            value[field]
                .as_u64()
                .with_context(|| format!("{name}: {field}"))
        };
        let limit = Limit {
            verified: number("verified")?,
            load_ms: number("load_ms")?,
        };
        Ok((name.clone(), limit))
    };
    kept.into_iter().map(one).collect()
}

/// What a report has beyond the budget.
pub(super) fn exceeded(budget: &BTreeMap<String, Limit>, report: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for program in programs(report) {
        let Some(limit) = budget.get(program.name) else {
            found.push(format!("{} has no budget", program.name));
            continue;
        };
        if program.verified > limit.verified {
            found.push(format!(
                "{}: the verifier follows {} instructions, and the budget is {}",
                program.name, program.verified, limit.verified
            ));
        }
        if program.load_us > limit.load_ms * 1000 {
            found.push(format!(
                "{}: loading takes {} ms, and the budget is {}",
                program.name,
                program.load_us / 1000,
                limit.load_ms
            ));
        }
    }
    found
}

/// Keeps a budget for what was seen on every kernel, with room: a tenth for instructions, four times the
/// time.
pub(super) fn keep(reports: &Map<String, Value>) -> Result<()> {
    let mut limits: BTreeMap<String, Limit> = BTreeMap::new();
    for program in reports.values().flat_map(programs) {
        let limit = limits.entry(program.name.to_owned()).or_insert(Limit {
            verified: 0,
            load_ms: 0,
        });
        let verified = (program.verified + program.verified / 10).min(VERIFIED_MAX);
        limit.verified = limit.verified.max(verified);
        limit.load_ms = limit.load_ms.max(program.load_us * 4 / 1000 + 100);
    }
    let kept: Map<String, Value> = limits
        .into_iter()
        .map(|(name, limit)| {
            let value = json!({ "verified": limit.verified, "load_ms": limit.load_ms });
            (name, value)
        })
        .collect();
    let path = path();
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, serde_json::to_string_pretty(&kept)? + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dearer_than_its_budget_is_found() {
        let limit = Limit {
            verified: 100,
            load_ms: 5,
        };
        let budget = BTreeMap::from([("a".to_owned(), limit)]);
        let report = |name: &str, verified: u64, load_us: u64| json!({ "programs": [{ "name": name, "verified": verified, "load_us": load_us }] });
        assert!(exceeded(&budget, &report("a", 100, 5000)).is_empty());
        assert_eq!(exceeded(&budget, &report("a", 101, 5001)).len(), 2);
        assert_eq!(exceeded(&budget, &report("b", 1, 1)), ["b has no budget"]);
    }
}
