//! The rules that look at requests, in a file: the kernel only knows that there are some.

use std::{collections::BTreeMap, io, path::Path};

use steer_common::service::SplitId;

use super::json_file;
use crate::requests::Shown;

pub(super) const NAME: &str = "requests.json";
/// How many requests each of them has taken.
pub(super) const TAKEN: &str = "requests-taken.json";

/// Replaces the file of a state directory.
pub(super) fn write(state: &Path, rules: &BTreeMap<SplitId, Vec<Shown>>) -> io::Result<()> {
    json_file::write(&state.join(NAME), rules)
}

/// The rules of a state directory, by split; none if no agent has run there.
pub fn read_requests(state: &Path) -> io::Result<BTreeMap<SplitId, Vec<Shown>>> {
    json_file::read(&state.join(NAME))
}

/// Replaces the counts of a state directory.
pub(super) fn write_taken(state: &Path, taken: &BTreeMap<SplitId, Vec<u64>>) -> io::Result<()> {
    json_file::write(&state.join(TAKEN), taken)
}

/// How many requests each rule has taken, by split and in the order of rules, as the agent saw it last.
pub fn read_taken(state: &Path) -> io::Result<BTreeMap<SplitId, Vec<u64>>> {
    json_file::read(&state.join(TAKEN))
}
