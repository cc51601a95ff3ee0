//! What the kernel, or the file systems of its objects, refused.

use std::{io, path::PathBuf};

/// Why the kernel's side could not be done.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No cgroup v2 hierarchy is mounted.
    #[error(
        "no cgroup v2 hierarchy is mounted; mount one, e.g. \
         `mount -t cgroup2 none /sys/fs/cgroup/unified`, or name a directory of it with --cgroup"
    )]
    NoCgroup2,
    /// The directory is not in a cgroup v2 hierarchy.
    #[error("{path} is not a directory of a cgroup v2 hierarchy; see `steer doctor`")]
    NotCgroup2 {
        /// The directory.
        path: PathBuf,
    },
    /// The pins would not be in a BPF file system.
    #[error("{path} is not in a BPF file system; mount one: `mount -t bpf bpf /sys/fs/bpf`")]
    NotBpffs {
        /// The directory.
        path: PathBuf,
    },
    /// Needs more privileges.
    #[error(
        "{action} needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: run as root, or in a privileged \
         container"
    )]
    NotPermitted {
        /// What was tried.
        action: &'static str,
    },
    /// The kernel lacks what cannot be done without.
    #[error(
        "this kernel is too old for steer: it has no {missing}; Linux 6.1 is the oldest that was \
         tested"
    )]
    TooOld {
        /// What it lacks.
        missing: String,
    },
    /// The kernel has no BTF.
    #[error(
        "this kernel exposes no type information (/sys/kernel/btf/vmlinux); it must be built with \
         CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// No agent has run here.
    #[error("nothing is pinned at {path}: start `steer agent`, or name its directory with --pins")]
    NothingPinned {
        /// The directory.
        path: PathBuf,
    },
    /// A pinned map has another shape.
    #[error(
        "the pinned map {map} has {found} and this version wants {wanted}; run `steer unload` \
         (traffic is left as dialled until the agent is back)"
    )]
    ShapeDiffers {
        /// The map.
        map: &'static str,
        /// As it is.
        found: String,
        /// As it should be.
        wanted: String,
    },
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
    /// The bpf system call refused.
    #[error("bpf({call}) for {name}")]
    Bpf {
        /// Its command.
        call: &'static str,
        /// On what.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The object could not be loaded.
    #[error("loading the BPF object")]
    Load {
        /// Why not.
        source: Box<aya::EbpfError>,
    },
    /// A program was refused.
    #[error("loading or attaching the program {name}")]
    Program {
        /// Which.
        name: &'static str,
        /// Why not.
        source: Box<aya::programs::ProgramError>,
    },
    /// Somebody else's program is in the way.
    #[error(
        "another program is attached to the cgroup, or above it, for the hook of {name}, and \
         shares it with nobody: detach it (`bpftool cgroup tree` shows it), or attach it with \
         BPF_F_ALLOW_MULTI"
    )]
    Occupied {
        /// Our program.
        name: &'static str,
    },
    /// A map refused.
    #[error("the map {name}")]
    Map {
        /// Which.
        name: &'static str,
        /// Why not.
        source: Box<aya::maps::MapError>,
    },
    /// The veth of a pod is gone.
    #[error("interface {index} is not there; its pod may be gone")]
    NoInterface {
        /// Its index.
        index: u32,
    },
    /// The table of services has no slot where one is needed.
    #[error("SERVICES is too full in one place; start the agent with a larger --max-services")]
    IndexFull,
    /// The object is not the one this agent was built for.
    #[error("the BPF object has no {name}: build it again with `cargo xtask build-ebpf`")]
    Missing {
        /// A map or program.
        name: &'static str,
    },
}

impl KernelError {
    pub(super) fn map(name: &'static str) -> impl Fn(aya::maps::MapError) -> Self {
        move |source| Self::Map {
            name,
            source: Box::new(source),
        }
    }

    pub(super) fn program(name: &'static str) -> impl Fn(aya::programs::ProgramError) -> Self {
        move |source| Self::Program {
            name,
            source: Box::new(source),
        }
    }

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
}
