//! The rules that look at requests, in a file: the kernel only knows that there are some.

use std::{collections::BTreeMap, fs, io, io::Write as _, path::Path};

use steer_common::service::SplitId;

use crate::requests::Shown;

pub(super) const NAME: &str = "requests.json";

/// Replaces the file of a state directory.
pub(super) fn write(state: &Path, rules: &BTreeMap<SplitId, Vec<Shown>>) -> io::Result<()> {
    let mut fresh = io::BufWriter::new(tempfile::NamedTempFile::new_in(state)?);
    serde_json::to_writer(&mut fresh, rules)?;
    fresh.write_all(b"\n")?;
    let fresh = fresh.into_inner().map_err(io::IntoInnerError::into_error)?;
    fresh.persist(state.join(NAME))?;
    Ok(())
}

/// The rules of a state directory, by split; none if no agent has run there.
pub fn read_requests(state: &Path) -> io::Result<BTreeMap<SplitId, Vec<Shown>>> {
    match fs::read(state.join(NAME)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}
