//! Findings: what was read and is not enforced, enforced in part, or refused. Nothing is silently
//! dropped; every listing and the agent's status show the same findings.

pub mod codes;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; what was asked is done.
    Info,
    /// Enforced in part, or probably not what was meant.
    Warning,
    /// Refused: the object, or the whole change, has no effect.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

/// An error and its causes in one line; a cause that was told already is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// An object of the configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its kind, e.g. `VirtualService`.
    pub kind: String,
    /// Its namespace; empty for objects without one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The file, as it was named to steer; or where else the object came from.
    pub file: Arc<str>,
    /// The line; 0 if only the file is known.
    pub line: u32,
    /// The column; 0 if only the line is known.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Stable code: `IST....` where `istioctl analyze` has one, else `STR....`.
    pub code: &'static str,
    /// The object it is about, if it is about one.
    pub object: Option<ObjectRef>,
    /// Where that stands.
    pub position: Option<Position>,
    /// The field, e.g. `spec.http[0].route[1].weight`; empty for the whole object.
    pub field: String,
    /// What is the case, one sentence.
    pub message: String,
    /// What to do, one sentence; empty if there is nothing to do.
    pub help: String,
}
