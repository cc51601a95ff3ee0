//! What gateways serve, in a file: the kernel knows nothing of it.

use std::{io, path::Path};

use super::json_file;
use crate::requests::Listed;

pub(super) const NAME: &str = "edge.json";

/// Replaces the file of a state directory.
pub(super) fn write(state: &Path, all: &[Listed]) -> io::Result<()> {
    json_file::write(&state.join(NAME), &all)
}

/// What stands in a state directory; nothing if no agent has run there.
pub fn read_edge(state: &Path) -> io::Result<Vec<Listed>> {
    json_file::read(&state.join(NAME))
}
