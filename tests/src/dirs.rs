//! Where a lab keeps its files, and the lock that says it is alive.

use std::{
    fs::{self, File},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::cgroup::{self, Cgroup};

/// Every lab has a directory here, by its name.
const RUN: &str = "/run/steer-lab";
/// Longest name of a lab.
const NAME_MAX: usize = 48;

/// The places of one lab, all derived from its name: what a crash leaves can be found again.
#[derive(Clone, Debug)]
pub struct Dirs {
    name: String,
    run: PathBuf,
    cgroup: PathBuf,
}

impl Dirs {
    /// The places of the lab `name`.
    pub fn new(name: &str) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(fits) {
            bail!("a lab is named by 1 to {NAME_MAX} of a-z, 0-9 and -, not {name:?}");
        }
        Ok(Self {
            name: name.to_owned(),
            run: Path::new(RUN).join(name),
            cgroup: cgroup::root()?.join(format!("steer-lab-{name}")),
        })
    }

    /// The labs that left a directory, alive or not.
    pub fn names() -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(RUN) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Name of the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's directory.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// A BPF file system of the lab's own, so that pins go with it.
    pub fn bpf(&self) -> PathBuf {
        self.run.join("bpf")
    }

    /// Where the agent pins.
    pub fn pins(&self) -> PathBuf {
        self.bpf().join("steer")
    }

    /// The agent's state.
    pub fn state(&self) -> PathBuf {
        self.run.join("state")
    }

    /// The configuration the agent watches.
    pub fn config(&self) -> PathBuf {
        self.run.join("config")
    }

    /// Output of everything that was started.
    pub fn logs(&self) -> PathBuf {
        self.run.join("logs")
    }

    /// Files of one host: its `resolv.conf`, its server's configuration and access log.
    pub fn host(&self, host: &str) -> PathBuf {
        self.run.join("hosts").join(host)
    }

    /// All cgroups of the lab.
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::at(&self.cgroup)
    }

    /// The cgroups that steer attaches to: the node and its pods.
    pub fn cluster_cgroup(&self) -> Cgroup {
        Cgroup::at(self.cgroup.join("cluster"))
    }

    /// The cgroups of hosts outside, which nobody steers.
    pub fn outside_cgroup(&self) -> Cgroup {
        Cgroup::at(self.cgroup.join("outside"))
    }

    /// Makes the directory and holds it, or says that a living process does.
    pub fn lock(&self) -> Result<Option<Lock>> {
        loop {
            fs::create_dir_all(&self.run)
                .with_context(|| format!("make {}", self.run.display()))?;
            let opened = File::open(&self.run)?;
            let made = opened.metadata()?.ino();
            match Flock::lock(OwnedFd::from(opened), FlockArg::LockExclusiveNonblock) {
                // Another process may have removed the directory between our open and our lock.
                Ok(lock) => {
                    if fs::metadata(&self.run).is_ok_and(|now| now.ino() == made) {
                        return Ok(Some(Lock(lock)));
                    }
                }
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, error)) => {
                    return Err(error).with_context(|| format!("lock {}", self.run.display()));
                }
            }
        }
    }

    /// Removes the directory, and the one of all labs when it was the last.
    pub fn remove(&self) -> Result<()> {
        if self.run.exists() {
            fs::remove_dir_all(&self.run)
                .with_context(|| format!("remove {}", self.run.display()))?;
        }
        // Not empty while other labs are there.
        let _ = fs::remove_dir(RUN);
        Ok(())
    }
}

/// Held while a lab's owner lives; the kernel lets it go with the process, however that ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] Flock<OwnedFd>);
