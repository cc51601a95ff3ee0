//! One agent for one set of pins: the second is refused, with the pid of the first.

use std::{
    fs, io,
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "another agent runs here already (pid {pid}); stop it first, or use other --pins and --state"
    )]
    Taken {
        /// Who.
        pid: String,
    },
    /// The file could not be used.
    #[error("using the lock file {path}")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// Held for as long as the agent runs; the kernel lets go of it should the agent die.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<fs::File>,
}

impl Lock {
    /// Takes the lock of a state directory.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("lock");
        let io_error = |source| LockError::Io {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(state).map_err(io_error)?;
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error)?;
        let mut file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, _)| {
                let mut pid = String::new();
                match file.read_to_string(&mut pid) {
                    Ok(_) => LockError::Taken {
                        pid: pid.trim().to_owned(),
                    },
                    Err(source) => io_error(source),
                }
            })?;
        file.set_len(0).map_err(io_error)?;
        file.rewind().map_err(io_error)?;
        writeln!(file, "{}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}
