//! The clusters of hosts that a DestinationRule or a VirtualService names, in a file: the kernel
//! holds only those that routes lead to, and listings show all.

use std::{fs, io, io::Write as _, path::Path};

use crate::desired::model::Cluster;

pub(super) const NAME: &str = "clusters.json";

/// Replaces the file of a state directory.
pub(super) fn write<'a>(
    state: &Path,
    clusters: impl Iterator<Item = &'a Cluster>,
) -> io::Result<()> {
    let mut fresh = io::BufWriter::new(tempfile::NamedTempFile::new_in(state)?);
    serde_json::to_writer(&mut fresh, &clusters.collect::<Vec<_>>())?;
    fresh.write_all(b"\n")?;
    let fresh = fresh.into_inner().map_err(io::IntoInnerError::into_error)?;
    fresh.persist(state.join(NAME))?;
    Ok(())
}

/// The clusters of a state directory; none if no agent has run there.
pub fn read_clusters(state: &Path) -> io::Result<Vec<Cluster>> {
    match fs::read(state.join(NAME)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
