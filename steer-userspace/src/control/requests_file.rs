//! The rules that look at requests, in a file: the kernel only knows that there are some.

use std::{collections::BTreeMap, io, path::Path};

use steer_common::service::SplitId;

use super::json_file;
use crate::requests::Shown;

pub(super) const NAME: &str = "requests.json";

/// Replaces the file of a state directory.
pub(super) fn write(state: &Path, rules: &BTreeMap<SplitId, Vec<Shown>>) -> io::Result<()> {
    json_file::write(&state.join(NAME), rules)
}

/// The rules of a state directory, by split; none if no agent has run there.
pub fn read_requests(state: &Path) -> io::Result<BTreeMap<SplitId, Vec<Shown>>> {
    json_file::read(&state.join(NAME))
}
