//! The clusters of hosts that a DestinationRule or a VirtualService names, in a file: the kernel
//! holds only those that routes lead to, and listings show all.

use std::{io, path::Path};

use super::json_file;
use crate::desired::model::Cluster;

pub(super) const NAME: &str = "clusters.json";

/// Replaces the file of a state directory.
pub(super) fn write<'a>(
    state: &Path,
    clusters: impl Iterator<Item = &'a Cluster>,
) -> io::Result<()> {
    json_file::write(&state.join(NAME), &clusters.collect::<Vec<_>>())
}

/// The clusters of a state directory; none if no agent has run there.
pub fn read_clusters(state: &Path) -> io::Result<Vec<Cluster>> {
    json_file::read(&state.join(NAME))
}
