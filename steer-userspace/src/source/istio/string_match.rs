//! `StringMatch`: exact, prefix or regular expression.

use serde::Deserialize;

/// How a string is compared; an empty one asks for presence only.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// The same, case-sensitive.
    pub exact: Option<String>,
    /// Begins so.
    pub prefix: Option<String>,
    /// RE2, matching the whole value.
    pub regex: Option<String>,
}
