//! Namespaces held by file descriptors, and work done inside them.

use std::{
    fs::File,
    future::Future,
    os::fd::{AsFd, BorrowedFd},
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;

/// The namespaces of a process. While this lives, so do they.
#[derive(Debug)]
pub struct Namespaces {
    net: File,
    uts: File,
    mnt: File,
}

impl Namespaces {
    /// Those of the process `pid`.
    pub fn of(pid: i32) -> Result<Self> {
        let open = |kind: &str| {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).with_context(|| format!("open {path}"))
        };
        Ok(Self {
            net: open("net")?,
            uts: open("uts")?,
            mnt: open("mnt")?,
        })
    }

    /// The network namespace.
    pub fn net(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }

    /// Moves the calling process into all of them. Only system calls: it runs between fork and exec.
    pub(crate) fn enter(&self) -> nix::Result<()> {
        setns(&self.net, CloneFlags::CLONE_NEWNET)?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS)?;
        setns(&self.mnt, CloneFlags::CLONE_NEWNS)
    }
}

/// Runs `work` on a thread of its own inside the network namespace `net`.
pub fn inside<T: Send>(net: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let entered = scope.spawn(move || {
            setns(net, CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
            work()
        });
        entered
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the work inside the namespace panicked")))
    })
}

/// Runs `work` with a route netlink socket of the network namespace `net`.
pub fn netlink<T, F>(net: BorrowedFd<'_>, work: impl FnOnce(Handle) -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    inside(net, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().context("open netlink")?;
            tokio::spawn(connection);
            work(handle).await
        })
    })
}
