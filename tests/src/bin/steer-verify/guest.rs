//! The first process of a guest: there is a kernel, what its archive of files held, and nothing else.
#![expect(
    unsafe_code,
    reason = "finit_module and reboot; neither is wrapped by a crate that is here"
)]

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sys::resource::{Resource, setrlimit},
};

use steer_tests::{link, netns};

/// Type of a file system, and where it is mounted.
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
];

/// Modules, in the order in which they are named.
const MODULES: &str = "/modules";

/// Mounts what programs expect, loads the modules, and lifts limits.
pub(super) fn settle() -> Result<()> {
    for (kind, at) in MOUNTS {
        fs::create_dir_all(at).with_context(|| format!("make {at}"))?;
        let none = None::<&str>;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), none)
            .with_context(|| format!("mount {at}"))?;
    }
    let mut modules: Vec<_> = fs::read_dir(MODULES)
        .context("look at the modules")?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    modules.sort();
    for path in modules {
        load_module(&path).with_context(|| format!("load {}", path.display()))?;
    }
    // Before Linux 5.11 maps count.
    setrlimit(Resource::RLIMIT_MEMLOCK, u64::MAX, u64::MAX)?;
    setrlimit(Resource::RLIMIT_NOFILE, 1 << 16, 1 << 16)?;
    let own = File::open("/proc/self/ns/net")?;
    netns::netlink(std::os::fd::AsFd::as_fd(&own), |handle| async move {
        link::set_up(&handle, link::LOOPBACK).await
    })
}

fn load_module(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    // SAFETY: an open file, parameters that end with a NUL, no flags.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error().into())
    }
}

/// Turns the machine off.
pub(super) fn power_off() {
    // SAFETY: system calls without pointers. Were it refused, the kernel would panic as this process
    // ends, which turns the machine off as well.
    unsafe {
        libc::sync();
        libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF);
    }
}
