//! Why the node could not be looked at.

use std::{io, path::PathBuf};

/// Why a scan could not be made at all; the last one still holds.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file could not be used.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Needs more privileges.
    #[error(
        "{action} needs CAP_SYS_ADMIN and CAP_SYS_PTRACE, and the host's process ids: run as root, \
         or in a privileged container with hostPID"
    )]
    NotPermitted {
        /// What was tried.
        action: &'static str,
    },
    /// The directory that is watched has no place in the cgroup v2 hierarchy.
    #[error("{path} is not a directory of a cgroup v2 hierarchy; see `steer doctor`")]
    NotCgroup2 {
        /// The directory.
        path: PathBuf,
    },
    /// The kernel's answers about interfaces could not be had.
    #[error("{action} over netlink")]
    Netlink {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// No thread could be started, or it died.
    #[error("a thread that {action}")]
    Thread {
        /// What it was for.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl NodeError {
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(super) fn netlink(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Netlink { action, source }
    }
}
