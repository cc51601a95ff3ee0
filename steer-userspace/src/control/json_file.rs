//! Files of the state directory that the kernel has no place for: what listings show beside its maps.

use std::{fs, io, io::Write as _, path::Path};

use serde::{Serialize, de::DeserializeOwned};

/// Replaces a file as a whole.
pub(super) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let state = path.parent().unwrap_or(Path::new("."));
    let mut fresh = io::BufWriter::new(tempfile::NamedTempFile::new_in(state)?);
    serde_json::to_writer(&mut fresh, content)?;
    fresh.write_all(b"\n")?;
    let fresh = fresh.into_inner().map_err(io::IntoInnerError::into_error)?;
    fresh.persist(path)?;
    Ok(())
}

/// What a file holds; nothing if no agent has written it.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}
