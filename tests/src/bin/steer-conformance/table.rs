//! Tables of cases, and the count of what became of them.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// A table, as the index names it.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) table: String,
    /// Where it is.
    file: PathBuf,
    /// How many cases it has.
    cases: usize,
}

/// One case.
pub(crate) type Case = Value;

/// The tables of a folder, in its order.
pub(crate) fn index(data: &Path) -> Result<Vec<Entry>> {
    let path = data.join("index.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no index", path.display()))
}

/// What became of a case.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As expected.
    Passed,
    /// A wrong answer.
    Failed { got: Value, want: Value },
    /// steer refuses what the case needs, and says so.
    Unsupported(String),
}

impl Outcome {
    /// Whether an answer is the expected one.
    pub(crate) fn compare(got: impl Into<Value>, want: &Value) -> Self {
        let got = got.into();
        if got == *want {
            Self::Passed
        } else {
            let want = want.clone();
            Self::Failed { got, want }
        }
    }
}

/// A table that was read.
#[derive(Debug)]
pub(crate) struct Table {
    /// The folder that paths in cases start from.
    pub(crate) folder: PathBuf,
    /// What all cases share.
    pub(crate) context: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Raw {
    table: String,
    #[serde(default)]
    context: Value,
    cases: Vec<Case>,
}

impl Table {
    /// Reads a table of a folder.
    pub(crate) fn read(data: &Path, entry: &Entry) -> Result<Self> {
        let path = data.join(&entry.file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let raw: Raw = serde_json::from_str(&text)
            .with_context(|| format!("{} is no table", path.display()))?;
        ensure!(
            raw.table == entry.table && raw.cases.len() == entry.cases,
            "{} has {} cases of {}; the index says {} of {}",
            path.display(),
            raw.cases.len(),
            raw.table,
            entry.cases,
            entry.table
        );
        Ok(Self {
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            context: raw.context,
            cases: raw.cases,
        })
    }

    /// Judges every case. One that cannot be judged, or makes steer panic, failed.
    pub(crate) fn run(&self, judge: fn(&Self, &Case) -> Result<Outcome>) -> Tally {
        let mut tally = Tally::default();
        for case in &self.cases {
            let id = case["id"].as_str().unwrap_or_default().to_owned();
            let judged = panic::catch_unwind(AssertUnwindSafe(|| judge(self, case)));
            match judged {
                Ok(Ok(Outcome::Passed)) => tally.passed += 1,
                Ok(Ok(Outcome::Failed { got, want })) => tally.failed.push((id, got, want)),
                Ok(Ok(Outcome::Unsupported(reason))) => tally.unsupported.push((id, reason)),
                Ok(Err(error)) => {
                    let got = json!({"error": format!("{error:#}")});
                    tally.failed.push((id, got, Value::Null));
                }
                Err(_) => {
                    let got = json!({"error": "it panicked"});
                    tally.failed.push((id, got, Value::Null));
                }
            }
        }
        tally
    }

    /// The text of a file that a case names.
    pub(crate) fn text(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }
}

/// How many cases came to what.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// As expected.
    pub(crate) passed: usize,
    /// Id, what was answered, what was expected.
    pub(crate) failed: Vec<(String, Value, Value)>,
    /// Id, and what steer lacks.
    pub(crate) unsupported: Vec<(String, String)>,
}

impl Tally {
    /// How many cases there are.
    pub(crate) fn cases(&self) -> u64 {
        (self.passed + self.failed.len() + self.unsupported.len()) as u64
    }

    /// As one JSON object.
    pub(crate) fn json(&self, table: &str) -> Value {
        let failures: Vec<Value> = self
            .failed
            .iter()
            .map(|(id, got, want)| json!({"id": id, "got": got, "want": want}))
            .collect();
        json!({
            "table": table,
            "passed": self.passed,
            "failed": self.failed.len(),
            "unsupported": self.unsupported.len(),
            "failures": failures,
        })
    }
}

/// The texts of a list.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}
