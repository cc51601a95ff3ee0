//! What the agents leave behind, as it can be listed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use steer::kernel::{Inventory, Pins};
use steer_tests::lab::Lab;

/// The kernel lets go a moment after the last pin went.
const GONE_MAX: Duration = Duration::from_secs(5);

/// Files, cgroups and namespaces of the lab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Traces {
    pins: BTreeSet<PathBuf>,
    state: BTreeSet<PathBuf>,
    cgroups: BTreeSet<PathBuf>,
    namespaces: BTreeSet<PathBuf>,
}

impl Traces {
    /// As they are.
    pub(crate) fn of(lab: &Lab) -> Result<Self> {
        let cgroups = below(lab.dirs().cgroup().path()).into_iter();
        let cgroups: BTreeSet<PathBuf> = cgroups.filter(|path| path.is_dir()).collect();
        let mut namespaces = BTreeSet::new();
        for cgroup in &cgroups {
            let processes = fs::read_to_string(cgroup.join("cgroup.procs"))?;
            let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            namespaces.extend(processes.lines().filter_map(of));
        }
        Ok(Self {
            pins: below(&lab.dirs().bpf()),
            state: below(&lab.dirs().state()),
            cgroups,
            namespaces,
        })
    }

    /// What is there that was not there before.
    pub(crate) fn more_than(&self, before: &Self) -> Vec<String> {
        let new = |now: &BTreeSet<PathBuf>, before: &BTreeSet<PathBuf>| -> Vec<String> {
            now.difference(before)
                .map(|path| path.display().to_string())
                .collect()
        };
        let mut more = new(&self.pins, &before.pins);
        more.extend(new(&self.state, &before.state));
        more.extend(new(&self.cgroups, &before.cgroups));
        more.extend(new(&self.namespaces, &before.namespaces));
        more
    }
}

fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(below(&path));
        }
        found.insert(path);
    }
    found
}

/// What the agents of a lab have had in the kernel.
#[derive(Default)]
pub(crate) struct Held(Inventory);

impl Held {
    /// Adds what is pinned now.
    pub(crate) fn look(&mut self, lab: &Lab) -> Result<()> {
        self.0
            .add(&Inventory::pinned(&Pins::new(lab.dirs().pins()))?);
        Ok(())
    }

    /// How much there was.
    pub(crate) fn count(&self) -> usize {
        self.0.count()
    }

    /// What the kernel still has of it, after a moment.
    pub(crate) fn left(&self) -> Inventory {
        let started = Instant::now();
        loop {
            let left = self.0.left();
            if left.count() == 0 || started.elapsed() > GONE_MAX {
                return left;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
