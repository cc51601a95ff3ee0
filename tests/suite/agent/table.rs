//! The table of bad input and what is said of it: kept in the reference, and held to be true.

use std::{
    env, fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use steer_tests::{bins, lab::Lab};

/// Set, the page is written instead of compared.
const BLESS: &str = "BLESS";

const HEAD: &str = "\
# Bad input

What can be wrong with the configuration or the machine, and what is said then. The page is written
by the suite `agent`, which causes each of these and looks at what the kernel holds before and
after: whatever is *refused* changes nothing, and the last good configuration stays in force.

| Input | What becomes of it | What is said |
| --- | --- | --- |
";

/// Every row, in the order of the page.
const TITLES: [&str; 25] = [
    "broken YAML",
    "unknown kind",
    "a kind that is not enforced yet",
    "wrong type",
    "unknown field",
    "weight -1",
    "all weights zero",
    "17 destinations",
    "a host twice in one VirtualService",
    "a host in two VirtualServices",
    "unknown subset",
    "unknown host",
    "an object twice",
    "a file replaced by a directory",
    "a file that is not UTF-8",
    "a link to nothing",
    "a file that may not be read",
    "more services than fit",
    "no permission",
    "no cgroup v2",
    "a directory that is no cgroup v2",
    "no type information (BTF)",
    "no BPF file system at the pins",
    "another program attached",
    "a second agent",
];

/// Holds the page to be true about one kind of bad input.
pub(crate) fn check(title: &str, becomes: &str, said: &[String]) -> Result<()> {
    static PAGE: Mutex<()> = Mutex::new(());
    ensure!(TITLES.contains(&title), "the page has no row for {title}");
    ensure!(!said.is_empty(), "nothing is said of {title}");
    let said: Vec<String> = said.iter().map(|text| cell(text)).collect();
    let row = format!("| {title} | {becomes} | {} |", said.join("<br>"));
    let _one_at_a_time = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(path()).unwrap_or_default();
    if text.lines().any(|line| line == row) {
        return Ok(());
    }
    let found = row_of(&text, title).unwrap_or("nothing");
    ensure!(
        env::var_os(BLESS).is_some(),
        "the page of bad input says\n{found}\nbut it is\n{row}\n({BLESS}=1 writes it)"
    );
    let rows = TITLES.iter().filter_map(|&other| {
        if other == title {
            Some(row.as_str())
        } else {
            row_of(&text, other)
        }
    });
    let page = rows.fold(HEAD.to_owned(), |page, row| page + row + "\n");
    fs::write(path(), page).context("write the page of bad input")
}

fn row_of<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let start = format!("| {title} |");
    text.lines().find(|line| line.starts_with(&start))
}

fn path() -> PathBuf {
    bins::workspace().join("docs/reference/bad-input.md")
}

fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

/// Findings of one severity, as the page shows them.
pub(crate) fn findings(lab: &Lab, status: &Value, severity: &str) -> Vec<String> {
    let all = status["findings"].as_array().into_iter().flatten();
    all.filter(|finding| finding["severity"] == severity)
        .map(|finding| plain(lab, &finding_text(finding)))
        .collect()
}

fn finding_text(finding: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let position = &finding["position"];
    let place = match (position["line"].as_u64(), position["column"].as_u64()) {
        (Some(line), Some(column)) if line > 0 => {
            format!("{}:{line}:{column}: ", text(&position["file"]))
        }
        _ if position.is_null() => String::new(),
        _ => format!("{}: ", text(&position["file"])),
    };
    format!(
        "{place}[{}] {}",
        text(&finding["code"]),
        text(&finding["message"])
    )
}

/// A text without what is different in each lab.
pub(crate) fn plain(lab: &Lab, text: &str) -> String {
    let config = format!("{}/", lab.dirs().config().display());
    let run = lab.dirs().run().display().to_string();
    let cgroup = lab.dirs().cgroup().path().display().to_string();
    text.replace(&config, "")
        .replace(&run, "DIR")
        .replace(&cgroup, "CGROUP")
}
