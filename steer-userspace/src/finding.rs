//! Findings: what was read and is not enforced, enforced in part, or refused. Nothing is silently
//! dropped; every listing and the agent's status show the same findings.

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

/// Every code, in order, with what it says. Codes are stable and never used again.
pub const CODES: [(&str, &str); 30] = [
    (
        "IST0101",
        "A host, subset, port or delegate that is referred to does not exist.",
    ),
    (
        "IST0106",
        "A field has the wrong type or a value that is not allowed: the object is refused.",
    ),
    (
        "IST0109",
        "Several VirtualServices name one host on the mesh: the oldest decides alone.",
    ),
    (
        "IST0112",
        "A destination needs a port: its service has several.",
    ),
    (
        "IST0130",
        "Nothing reaches a rule: one before it takes everything.",
    ),
    ("IST0133", "A field is unknown, or has no effect."),
    (
        "IST0173",
        "A subset selects no endpoint: connections to it are refused.",
    ),
    ("IST0174", "The host of a DestinationRule does not exist."),
    (
        "STR0101",
        "A file is not valid YAML: nothing of the change is applied.",
    ),
    (
        "STR0102",
        "A document is no Kubernetes object: kind, apiVersion or name is missing.",
    ),
    ("STR0103", "An object is there twice."),
    ("STR0104", "A file cannot be read."),
    ("STR0105", "There is no configuration."),
    (
        "STR0201",
        "A kind that concerns traffic is not enforced yet.",
    ),
    ("STR0202", "A kind does not concern steer and is not read."),
    ("STR0203", "A kind is unknown."),
    (
        "STR0301",
        "A rule must look at each request: its conditions are not enforced.",
    ),
    (
        "STR0302",
        "A rule must look at the first bytes: it is not enforced.",
    ),
    ("STR0303", "A field is not enforced."),
    ("STR0304", "Weights do not fit: the change is refused."),
    (
        "STR0305",
        "A service is headless: its clients are left as dialled.",
    ),
    ("STR0306", "A way to reach a service is not steered."),
    ("STR0307", "Gateways are not enforced yet."),
    ("STR0308", "An address cannot be read."),
    (
        "STR0601",
        "Another network namespace has the address of a pod.",
    ),
    (
        "STR0602",
        "A pod uses the node's network: it is a client of no class.",
    ),
    ("STR0603", "Processes or namespaces could not be looked at."),
    (
        "STR0701",
        "The configuration does not fit into the maps: it is refused.",
    ),
    (
        "STR0702",
        "The kernel refused a change: the last good configuration stays in force.",
    ),
    ("STR0703", "The agent's files could not be written."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
