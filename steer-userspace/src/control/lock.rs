//! One agent for one set of pins: the second is refused, with the pid of the first.

use std::{
    fs, io,
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

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
///
/// A lock of the open file (fcntl(2), `F_OFD_SETLK`), because such a lock can be looked at without
/// being taken: `steer status` must not stand in the way of an agent that starts.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl Lock {
    /// Takes the lock of a state directory.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join(NAME);
        let failed = |source| LockError::Io {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(state).map_err(failed)?;
        let mut file = fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole())) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let pid = pid(&mut file).map_err(failed)?;
                return Err(LockError::Taken { pid });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// The process that holds the lock of a state directory, if one does. Takes nothing.
    pub fn holder(state: &Path) -> Result<Option<String>, LockError> {
        let path = state.join(NAME);
        let failed = |source| LockError::Io {
            path: path.display().to_string(),
            source,
        };
        let mut file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut asked = whole();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked)).map_err(|errno| failed(errno.into()))?;
        if i32::from(asked.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        pid(&mut file).map(Some).map_err(failed)
    }
}

pub(super) const NAME: &str = "lock";

/// A write lock of the whole file, however long it gets.
fn whole() -> libc::flock {
    let narrow = |constant: i32| libc::c_short::try_from(constant).unwrap_or_default();
    libc::flock {
        l_type: narrow(libc::F_WRLCK),
        l_whence: narrow(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn pid(file: &mut fs::File) -> io::Result<String> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    Ok(pid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever looks takes nothing, and sees the holder come and go.
    #[test]
    fn the_holder_is_seen_and_not_disturbed() {
        let state = tempfile::tempdir().unwrap();
        let looked = || Lock::holder(state.path()).unwrap();
        assert_eq!(looked(), None);
        assert!(!state.path().join(NAME).exists());
        let lock = Lock::take(state.path()).unwrap();
        let own = std::process::id().to_string();
        assert_eq!(looked(), Some(own.clone()));
        assert!(matches!(
            Lock::take(state.path()),
            Err(LockError::Taken { pid }) if pid == own
        ));
        drop(lock);
        assert_eq!(looked(), None);
        Lock::take(state.path()).unwrap();
    }
}
