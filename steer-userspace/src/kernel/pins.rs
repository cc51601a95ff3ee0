//! Where maps and links are pinned: `DIR/v<ABI>/maps/NAME` and `DIR/v<ABI>/links/NAME`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::KernelError;

/// The default directory.
pub const DEFAULT: &str = "/sys/fs/bpf/steer";

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// The pins of an agent, whether or not they exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory as it was named.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn versioned(&self) -> PathBuf {
        self.root.join(format!("v{}", steer_common::ABI_VERSION))
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.versioned().join("maps").join(name)
    }

    pub(super) fn link(&self, name: &str) -> PathBuf {
        self.versioned().join("links").join(name)
    }

    /// Whether an agent has pinned its maps here.
    pub fn exist(&self) -> bool {
        self.map("SERVICES").exists()
    }

    /// Creates the directories, mounting the BPF file system at its usual place if it is missing.
    pub(super) fn create(&self) -> Result<(), KernelError> {
        mount_bpffs()?;
        for kind in ["maps", "links"] {
            let path = self.versioned().join(kind);
            fs::create_dir_all(&path).map_err(|source| not_bpffs_or(&self.root, &path, source))?;
        }
        let path = self.versioned();
        if statfs(&path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) {
            return Ok(());
        }
        fs::remove_dir_all(&path).map_err(KernelError::io("removing", &path))?;
        Err(KernelError::NotBpffs {
            path: self.root.clone(),
        })
    }

    /// Removes every pin: programs detach and maps go with their last user.
    pub fn remove(&self) -> Result<bool, KernelError> {
        match fs::remove_dir_all(&self.root) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(KernelError::io("removing", &self.root)(error)),
        }
    }
}

fn not_bpffs_or(root: &Path, path: &Path, source: io::Error) -> KernelError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => KernelError::NotPermitted {
            action: "pinning maps",
        },
        io::ErrorKind::NotFound => KernelError::NotBpffs {
            path: root.to_owned(),
        },
        _ => KernelError::io("creating", path)(source),
    }
}

fn mount_bpffs() -> Result<(), KernelError> {
    let path = Path::new("/sys/fs/bpf");
    if statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) || !path.is_dir() {
        return Ok(());
    }
    mount(
        Some("bpf"),
        path,
        Some("bpf"),
        MsFlags::empty(),
        None::<&str>,
    )
    .map_err(|errno| match errno {
        nix::errno::Errno::EPERM => KernelError::NotPermitted {
            action: "mounting the BPF file system",
        },
        errno => KernelError::io("mounting the BPF file system at", path)(errno.into()),
    })
}
