//! Where maps and links are pinned: `DIR/v<ABI>/maps/NAME`, `DIR/v<ABI>/links/NAME`, and for the
//! veths of pods `DIR/v<ABI>/ports/INTERFACE` and
//! `INTERFACE-in`, and the same below `uplinks` for those by which clients outside come in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::TcAttachType;
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{KernelError, filters, object::PORT_PROGRAMS};

/// The default directory.
pub const DEFAULT: &str = "/sys/fs/bpf/steer";

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    /// Of which layout.
    version: u32,
}

impl Pins {
    /// The pins of an agent, whether or not they exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            version: steer_common::ABI_VERSION,
        }
    }

    /// Those of another layout.
    pub(super) fn of_version(&self, version: u32) -> Self {
        Self {
            root: self.root.clone(),
            version,
        }
    }

    /// The directory as it was named.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn versioned(&self) -> PathBuf {
        self.root.join(format!("v{}", self.version))
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.versioned().join("maps").join(name)
    }

    pub(super) fn link(&self, name: &str) -> PathBuf {
        self.versioned().join("links").join(name)
    }

    pub(super) fn map_folder(&self) -> PathBuf {
        self.versioned().join("maps")
    }

    pub(super) fn link_folder(&self) -> PathBuf {
        self.versioned().join("links")
    }

    pub(super) fn ports(&self) -> PathBuf {
        self.versioned().join("ports")
    }

    pub(super) fn uplinks(&self) -> PathBuf {
        self.versioned().join("uplinks")
    }

    /// The link at an interface of what comes out of a pod, or goes into it.
    pub(super) fn port(&self, index: u32, direction: TcAttachType) -> PathBuf {
        let suffix = if direction == TcAttachType::Ingress {
            ""
        } else {
            "-in"
        };
        self.ports().join(format!("{index}{suffix}"))
    }

    /// The link at an interface of what comes in from outside, or goes out.
    pub(super) fn uplink(&self, index: u32, direction: TcAttachType) -> PathBuf {
        let suffix = if direction == TcAttachType::Ingress {
            ""
        } else {
            "-out"
        };
        self.uplinks().join(format!("{index}{suffix}"))
    }

    /// Where the interfaces are noted that have filters in the place of links.
    pub(super) fn filters(&self) -> PathBuf {
        self.versioned().join("filters")
    }

    pub(super) fn filter(&self, index: u32) -> PathBuf {
        self.filters().join(index.to_string())
    }

    /// Whether an agent has pinned its maps here.
    pub fn exist(&self) -> bool {
        self.map("SERVICES").exists()
    }

    /// An error that says why, unless an agent has pinned its maps here.
    pub(super) fn require(&self) -> Result<(), KernelError> {
        let path = self.root.clone();
        match self.map("SERVICES").try_exists() {
            Ok(true) => Ok(()),
            // The usual place is closed to everyone but root.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(KernelError::NotPermitted {
                    action: "reading the maps",
                })
            }
            Ok(false) | Err(_) => Err(KernelError::NothingPinned { path }),
        }
    }

    /// Creates the directories, mounting the BPF file system at its usual place if it is missing.
    pub(super) fn create(&self) -> Result<(), KernelError> {
        mount_bpffs()?;
        for kind in ["maps", "links", "ports", "uplinks"] {
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

    /// Removes every pin, of whatever version: programs detach and maps go with their last user.
    /// What is no pin of steer's is left alone.
    pub fn remove(&self) -> Result<Removed, KernelError> {
        let removed = self.remove_versions(|_| true)?;
        match statfs(&self.root) {
            Ok(found) if found.filesystem_type() == BPF_FS_MAGIC => remove_empty(&self.root)?,
            Ok(_) | Err(_) => {}
        }
        Ok(removed)
    }

    /// Removes the pins of other versions than this one's, whose programs would decide beside ours.
    pub fn remove_others(&self) -> Result<Removed, KernelError> {
        let own = self.versioned();
        self.remove_versions(|version| version != own)
    }

    /// Removes the pins of this version.
    pub(super) fn remove_own(&self) -> Result<Removed, KernelError> {
        let own = self.versioned();
        self.remove_versions(|version| version == own)
    }

    fn remove_versions(&self, is_meant: impl Fn(&Path) -> bool) -> Result<Removed, KernelError> {
        let mut removed = Removed::default();
        match statfs(&self.root) {
            Ok(found) if found.filesystem_type() == BPF_FS_MAGIC => {}
            Ok(_) | Err(Errno::ENOENT) => return Ok(removed),
            Err(errno) => return Err(denied_or("looking at", &self.root, errno.into())),
        }
        for version in entries(&self.root)? {
            if !is_version(&version) || !is_meant(&version) {
                continue;
            }
            // Links first: a program must not run on maps that are half gone.
            removed.links += unpin(&version.join("uplinks"))?;
            removed.links += unpin(&version.join("ports"))?;
            removed.links += unfilter(&version.join("filters"))?;
            removed.links += unpin(&version.join("links"))?;
            removed.maps += unpin(&version.join("maps"))?;
            remove_empty(&version)?;
        }
        Ok(removed)
    }
}

/// What was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Pinned links: each held a program in force.
    pub links: usize,
    /// Pinned maps.
    pub maps: usize,
}

fn is_version(path: &Path) -> bool {
    let number = path
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix('v'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The paths in a directory, sorted; none if it does not exist.
fn entries(path: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let found = match fs::read_dir(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(denied_or("looking at", path, error)),
    };
    let mut paths = found
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(KernelError::io("looking at", path))?;
    paths.sort();
    Ok(paths)
}

/// Removes the pins of a directory, and the directory.
fn unpin(path: &Path) -> Result<usize, KernelError> {
    let pins = entries(path)?;
    for pin in &pins {
        fs::remove_file(pin).map_err(|error| denied_or("removing", pin, error))?;
    }
    remove_empty(path)?;
    Ok(pins.len())
}

/// Removes the filters at the interfaces that a directory names, and the directory.
fn unfilter(path: &Path) -> Result<usize, KernelError> {
    let interfaces = filters::marked(path)?;
    for &index in &interfaces {
        filters::detach(index);
        filters::unmark(&path.join(index.to_string()))?;
    }
    remove_empty(path)?;
    Ok(interfaces.len() * PORT_PROGRAMS.len())
}

/// Removes a directory, unless somebody keeps other things there.
fn remove_empty(path: &Path) -> Result<(), KernelError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    // The root of a file system.
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(denied_or("removing", path, error)),
    }
}

fn denied_or(action: &'static str, path: &Path, source: io::Error) -> KernelError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => KernelError::NotPermitted {
            action: "unloading",
        },
        _ => KernelError::io(action, path)(source),
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
        Errno::EPERM => KernelError::NotPermitted {
            action: "mounting the BPF file system",
        },
        errno => KernelError::io("mounting the BPF file system at", path)(errno.into()),
    })
}
