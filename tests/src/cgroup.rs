//! Cgroups of cgroup v2: made, killed and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::mounts;

/// How long killed processes may take to be gone.
const GONE_MAX: Duration = Duration::from_secs(10);

/// The root of cgroup v2. Hybrid hosts mount it elsewhere than `/sys/fs/cgroup`.
pub fn root() -> Result<PathBuf> {
    mounts::first_of_type("cgroup2")?.context("cgroup v2 is not mounted")
}

/// One cgroup, by its directory.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// The cgroup at `path`, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes the cgroup and those above it.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path).with_context(|| format!("make the cgroup {}", path.display()))?;
        Ok(Self { path })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The processes in it, not those in its children.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))
            .with_context(|| format!("read the processes of {}", self.path.display()))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Kills every process in it and below, and waits until none is left.
    pub fn kill(&self) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let kill = self.path.join("cgroup.kill");
        fs::write(&kill, "1").with_context(|| format!("write {}", kill.display()))?;
        let started = Instant::now();
        while self.populated()? {
            if started.elapsed() > GONE_MAX {
                bail!("processes of {} outlive SIGKILL", self.path.display());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Removes it and those below. Its processes must be gone.
    pub fn remove(&self) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                Self::at(entry.path()).remove()?;
            }
        }
        // The kernel may still be counting the last process out: EBUSY for a moment.
        let started = Instant::now();
        loop {
            match fs::remove_dir(&self.path) {
                Ok(()) => return Ok(()),
                Err(error) if started.elapsed() > GONE_MAX => {
                    return Err(error).with_context(|| format!("remove {}", self.path.display()));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn populated(&self) -> Result<bool> {
        let events = self.path.join("cgroup.events");
        let text =
            fs::read_to_string(&events).with_context(|| format!("read {}", events.display()))?;
        Ok(text.lines().any(|line| line == "populated 1"))
    }
}
