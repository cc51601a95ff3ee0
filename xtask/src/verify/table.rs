//! What was found out about each kernel: in one line, as failures, and as a page of the reference.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::kernels::Kernel;
use crate::workspace::root;

/// One program of a report.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) name: &'a str,
    pub(super) verified: u64,
    pub(super) load_us: u64,
}

/// The programs of a report.
pub(super) fn programs(report: &Value) -> impl Iterator<Item = Program<'_>> {
    list(report, "programs").map(|program| Program {
        name: program["name"].as_str().unwrap_or_default(),
        verified: program["verified"].as_u64().unwrap_or_default(),
        load_us: program["load_us"].as_u64().unwrap_or_default(),
    })
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn passed(report: &Value) -> (usize, usize) {
    let passed = list(report, "checks")
        .filter(|check| check["passed"] == true)
        .count();
    (passed, list(report, "checks").count())
}

/// A report in one line.
pub(super) fn line(report: &Value) -> String {
    let release = text(report, "release");
    let refused = text(report, "refused");
    if !refused.is_empty() {
        let first = refused.lines().next().unwrap_or_default();
        return format!("{release}: refused: {first}");
    }
    let (passed, checks) = passed(report);
    let most = programs(report).max_by_key(|program| program.verified);
    let most = most.map_or_else(String::new, |program| {
        format!("; most instructions: {} {}", program.name, program.verified)
    });
    let loading: u64 = programs(report).map(|program| program.load_us).sum();
    format!(
        "{release}: {} programs loaded in {} ms, {passed} of {checks} checks passed{most}",
        programs(report).count(),
        loading / 1000
    )
}

/// What failed on a kernel that must do.
pub(super) fn failed(report: &Value) -> Vec<String> {
    let refused = text(report, "refused");
    if !refused.is_empty() {
        return vec![format!("refused: {refused}")];
    }
    let mut failed: Vec<String> = list(report, "checks")
        .filter(|check| check["passed"] != true)
        .map(|check| format!("{}: {}", text(check, "test"), text(check, "said")))
        .collect();
    if report["doctor"]["code"] != 0 {
        failed.push(format!("steer doctor: {}", text(&report["doctor"], "text")));
    }
    if passed(report).1 == 0 {
        failed.push("nothing was checked".to_owned());
    }
    failed
}

/// Which of doctor and agent did not refuse a kernel that is too old, in the same sentence.
pub(super) fn not_refused(report: &Value) -> Vec<String> {
    const UNSUPPORTED: u64 = 69;
    let sentence = text(report, "refused");
    let refuses = |who: &str| {
        let said = &report[who];
        said["code"] == UNSUPPORTED && !sentence.is_empty() && text(said, "text").contains(sentence)
    };
    ["doctor", "agent"]
        .into_iter()
        .filter(|who| !refuses(who))
        .map(|who| {
            format!(
                "steer {who} does not refuse it: {}",
                text(&report[who], "text")
            )
        })
        .collect()
}

fn path() -> PathBuf {
    root().join("tests/verify/kernels.json")
}

/// Keeps a report beside those of other kernels.
pub(super) fn keep(kernel: Kernel, report: &Value) -> Result<()> {
    let path = path();
    let mut kept = if path.exists() { read()? } else { Map::new() };
    kept.insert(kernel.name().to_owned(), report.clone());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, serde_json::to_string_pretty(&kept)? + "\n")?;
    Ok(())
}

/// The reports that are kept, by the names of kernels.
pub(super) fn read() -> Result<Map<String, Value>> {
    let path = path();
    let kept =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&kept).with_context(|| format!("cannot understand {}", path.display()))
}

/// The page of the reference that is made of the kept reports.
pub(crate) fn page() -> Result<String> {
    let kept = read()?;
    let reports: Vec<(Kernel, &Value)> = super::kernels::wanted(&[])?
        .into_iter()
        .filter_map(|kernel| Some((kernel, kept.get(kernel.name())?)))
        .collect();
    let mut page = String::from(HEAD);
    page.push_str(
        "| kernel | | programs | guard at a veth | namespace of a packet | checks passed |\n",
    );
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (kernel, report) in &reports {
        page.push_str(&row(*kernel, report));
    }
    let too_old = reports.iter().find(|(kernel, _)| kernel.is_too_old());
    if let Some((_, report)) = too_old {
        let sentence = text(report, "refused");
        page.push_str("\n`steer doctor` and `steer agent` end with exit code 69 where a kernel is too old:\n\n");
        page.push_str(&format!("    {sentence}\n"));
    }
    page.push_str(&checks(&reports));
    page.push_str(&costs(&reports));
    Ok(page)
}

const HEAD: &str = "<!-- Written by `cargo xtask docs` from tests/verify/kernels.json, which `cargo xtask verify --bless` writes: do not edit. -->\n\n\
# Kernels\n\n\
Seen on real kernels: those of Debian, booted in QEMU, and that of the machine where this was written.\n\
Features are found by trying, never by a version. `steer doctor` says the same of the machine it runs on.\n\n";

fn row(kernel: Kernel, report: &Value) -> String {
    let release = text(report, "release");
    let booted = if kernel == Kernel::Running {
        "this machine"
    } else {
        "QEMU"
    };
    if !text(report, "refused").is_empty() {
        return format!("| {release} | {booted} | refused: too old | | | |\n");
    }
    let features = &report["features"];
    let guard = if features["tcx"] == true {
        "tcx link"
    } else {
        "clsact filter (STR0801)"
    };
    let namespace = if features["netns_cookie_of_packets"] == true {
        "`bpf_get_netns_cookie`"
    } else {
        "read from the socket"
    };
    let (passed, all) = passed(report);
    let programs = programs(report).count();
    format!(
        "| {release} | {booted} | {programs} load | {guard} | {namespace} | {passed} of {all} |\n"
    )
}

/// Which check passed where.
fn checks(reports: &[(Kernel, &Value)]) -> String {
    let reports: Vec<&Value> = able(reports);
    let mut page = format!("\n## Checks\n\n| |{}\n", heads(&reports));
    page.push_str(&rule(&reports));
    let mut seen = BTreeSet::new();
    for check in reports.iter().flat_map(|report| list(report, "checks")) {
        let test = text(check, "test");
        if !seen.insert(test) {
            continue;
        }
        page.push_str(&format!("| {} |", text(check, "what")));
        for report in &reports {
            let found = list(report, "checks").find(|check| text(check, "test") == test);
            let passed = found.map(|check| check["passed"] == true);
            page.push_str(match passed {
                Some(true) => " yes |",
                Some(false) => " **no** |",
                None => " |",
            });
        }
        page.push('\n');
    }
    page
}

/// What each program costs the verifier.
fn costs(reports: &[(Kernel, &Value)]) -> String {
    let reports: Vec<&Value> = able(reports);
    let mut page = format!(
        "\n## Instructions that the verifier follows\n\nOf the million that it may; in brackets, how long \
         loading took (in QEMU everything is emulated).\nThe budget is in `tests/verify/budget.json`.\n\n\
         | |{}\n",
        heads(&reports)
    );
    page.push_str(&rule(&reports));
    let names = reports
        .first()
        .into_iter()
        .flat_map(|report| programs(report));
    for name in names.map(|program| program.name) {
        page.push_str(&format!("| {name} |"));
        for report in &reports {
            let found = programs(report).find(|program| program.name == name);
            page.push_str(&found.map_or_else(
                || " |".to_owned(),
                |program| format!(" {} ({} ms) |", program.verified, program.load_us / 1000),
            ));
        }
        page.push('\n');
    }
    page
}

/// Those that were not refused.
fn able<'a>(reports: &[(Kernel, &'a Value)]) -> Vec<&'a Value> {
    let able = reports.iter().filter(|(kernel, _)| !kernel.is_too_old());
    able.map(|(_, report)| *report).collect()
}

fn heads(reports: &[&Value]) -> String {
    reports
        .iter()
        .map(|report| format!(" {} |", text(report, "release")))
        .collect()
}

fn rule(reports: &[&Value]) -> String {
    format!("| --- |{}\n", " --- |".repeat(reports.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kernel_that_will_not_do_is_refused_by_both() {
        let said = |code: u64, text: &str| json!({ "code": code, "text": text });
        let report = |doctor: Value, agent: Value| json!({ "refused": "too old", "doctor": doctor, "agent": agent });
        let both = report(said(69, "fail too old"), said(69, "steer: too old"));
        assert!(not_refused(&both).is_empty());
        let one = report(said(69, "fail too old"), said(1, "steer: EINVAL"));
        assert_eq!(
            not_refused(&one),
            ["steer agent does not refuse it: steer: EINVAL"]
        );
        assert_eq!(not_refused(&json!({})).len(), 2);
    }

    #[test]
    fn nothing_checked_is_a_failure() {
        let report = |checks: Value| json!({ "doctor": { "code": 0 }, "checks": checks });
        assert_eq!(failed(&report(json!([]))), ["nothing was checked"]);
        assert!(failed(&report(json!([{ "passed": true }]))).is_empty());
        assert_eq!(
            failed(&report(
                json!([{ "test": "a", "passed": false, "said": "b" }])
            )),
            ["a: b"]
        );
    }
}
