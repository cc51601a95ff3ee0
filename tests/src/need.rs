//! What the lab needs of its machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

use crate::cgroup;

/// Set to 1, a test that cannot run fails instead of being ignored.
pub const NO_SKIP: &str = "STEER_NO_SKIP";

/// Programs that labs run.
const PROGRAMS: [&str; 5] = ["sleep", "nginx", "dnsmasq", "curl", "openssl"];

/// Says what is missing for a lab.
pub fn check() -> Result<()> {
    if !geteuid().is_root() {
        bail!("labs are made by root");
    }
    let root = cgroup::root()?;
    if !root.join("cgroup.procs").exists() {
        bail!("{} is no cgroup", root.display());
    }
    let kinds = fs::read_to_string("/proc/filesystems").context("read the file systems")?;
    if !kinds.lines().any(|line| line.ends_with("\tbpf")) {
        bail!("the kernel has no BPF file system");
    }
    for program in PROGRAMS {
        find(program)?;
    }
    Ok(())
}

/// Whether a missing need is a failure.
pub fn no_skip() -> bool {
    env::var(NO_SKIP).is_ok_and(|value| value == "1")
}

/// The path of a program. Servers are in `sbin`, which a plain `PATH` may lack.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = env::split_paths(&path)
        .chain(fixed)
        .map(|directory| directory.join(program))
        .find(|path: &PathBuf| Path::is_file(path));
    found.with_context(|| format!("{program} is not installed"))
}
