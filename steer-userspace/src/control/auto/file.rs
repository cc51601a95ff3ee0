//! How weights are kept, in a file: for listings.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};
use steer_common::service::SplitId;

use crate::control::json_file;

pub(in crate::control) const NAME: &str = "splits.json";

/// How the weights of a route with `split: auto` are kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What is split: `connection` or `request`.
    pub by: String,
    /// Of how many requests shares were last taken while connections were split.
    pub requests: Option<u64>,
    /// How far the farthest of them was from its weight, in percentage points.
    pub points: Option<f64>,
    /// Since when, if it was ever something else (RFC 3339).
    pub since: Option<String>,
}

/// Replaces the file of a state directory.
pub(super) fn write(state: &Path, kept: &BTreeMap<SplitId, Kept>) -> io::Result<()> {
    json_file::write(&state.join(NAME), kept)
}

/// What stands in a state directory, by split; nothing if no agent has run there.
pub fn read_kept(state: &Path) -> io::Result<BTreeMap<SplitId, Kept>> {
    json_file::read(&state.join(NAME))
}
