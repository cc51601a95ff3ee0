//! Entering namespaces: other network namespaces for their sockets, a mount namespace of its own to
//! see how the kernel names a cgroup. Each on a thread that ends afterwards: a thread that was
//! elsewhere never does other work.

use std::{fs, fs::File, io, path::Path, thread};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};

use super::{
    NodeError,
    cgroup::{self, CgroupPath},
    netlink::Netlink,
};

/// Opens a netlink socket in each network namespace. It stays there when the thread has gone.
pub(super) fn sockets(namespaces: &[File]) -> Result<Vec<io::Result<Netlink>>, NodeError> {
    let namespaces: Vec<&File> = namespaces.iter().collect();
    inside(&namespaces, Netlink::open)
}

/// Opens something in each network namespace.
pub(super) fn inside<T: Send>(
    namespaces: &[&File],
    open: impl Fn() -> io::Result<T> + Sync,
) -> Result<Vec<io::Result<T>>, NodeError> {
    elsewhere("enters network namespaces", || {
        let enter = |namespace: &&File| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            open()
        };
        Ok(namespaces.iter().map(enter).collect())
    })
}

/// The place of a cgroup directory in the hierarchy, in the terms of /proc/PID/cgroup. A path that
/// is put together from mountinfo would be wrong in a cgroup namespace, where the names above its
/// root are not shown: so the directory is mounted where nobody sees it, and the kernel names it.
pub(super) fn place(directory: &Path) -> Result<CgroupPath, NodeError> {
    let action = "naming the watched cgroup";
    let directory = fs::canonicalize(directory).map_err(NodeError::io("opening", directory))?;
    let mounts = elsewhere("names the watched cgroup", || {
        let refused = |errno: nix::Error| match errno {
            nix::Error::EPERM | nix::Error::EACCES => NodeError::NotPermitted { action },
            other => NodeError::io("mounting", &directory)(other.into()),
        };
        unshare(CloneFlags::CLONE_NEWNS).map_err(refused)?;
        let alone = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, alone, None::<&str>).map_err(refused)?;
        let bind = MsFlags::MS_BIND;
        mount(
            Some(&directory),
            &directory,
            None::<&str>,
            bind,
            None::<&str>,
        )
        .map_err(refused)?;
        let path = "/proc/thread-self/mountinfo";
        fs::read(path).map_err(NodeError::io("reading", path))
    })?;
    cgroup::mounted_at(&mounts, &directory).ok_or(NodeError::NotCgroup2 { path: directory })
}

fn elsewhere<T: Send>(
    action: &'static str,
    job: impl FnOnce() -> Result<T, NodeError> + Send,
) -> Result<T, NodeError> {
    let failed = |source| NodeError::Thread { action, source };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("steer-visit".to_owned());
        let thread = thread.spawn_scoped(scope, job).map_err(failed)?;
        let died = |_| failed(io::Error::other("it panicked"));
        thread.join().map_err(died)?
    })
}
