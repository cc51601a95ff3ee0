//! Everything a lab may leave on its host.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};
use nix::{net::if_::if_nameindex, sys::stat::fstat};
use steer_tests::{dirs::Dirs, lab::Lab, mounts};

/// What is there of one lab, as text to compare and to show.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    pub(crate) processes: BTreeSet<String>,
    pub(crate) cgroups: BTreeSet<String>,
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) directories: BTreeSet<String>,
    pub(crate) interfaces: BTreeSet<String>,
    pub(crate) namespaces: BTreeSet<String>,
}

impl Traces {
    /// Looks for the lab `name`, and for holders of `namespaces`, numbers of network namespaces.
    /// Interfaces are those of the calling thread's network namespace, whoever made them.
    pub(crate) fn of(name: &str, namespaces: &BTreeSet<u64>) -> Result<Self> {
        let dirs = Dirs::new(name)?;
        let mut traces = Self::default();
        for entry in fs::read_dir("/proc")?.flatten() {
            if entry.file_name().to_string_lossy().parse::<u32>().is_ok() {
                traces.look_at_process(&entry.path(), &dirs, namespaces);
            }
        }
        note_directories(dirs.cgroup().path(), &mut traces.cgroups)?;
        note_directories(dirs.run(), &mut traces.directories)?;
        let mounts = mounts::all()?
            .into_iter()
            .filter(|mount| mount.at.starts_with(dirs.run()));
        traces
            .mounts
            .extend(mounts.map(|mount| mount.at.display().to_string()));
        let interfaces = if_nameindex()?;
        traces.interfaces.extend(
            interfaces
                .iter()
                .map(|one| one.name().to_string_lossy().into_owned()),
        );
        Ok(traces)
    }

    /// Whether anything at all is there.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// A process may end while it is looked at; a zombie is nobody's trace but its parent's.
    fn look_at_process(&mut self, process: &Path, dirs: &Dirs, namespaces: &BTreeSet<u64>) {
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        if read("stat")
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
        {
            return;
        }
        let own = dirs.cgroup();
        let own = own
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let inside = |line: &str| line.split('/').any(|part| part == own);
        if read("cgroup").lines().any(inside) {
            self.processes
                .insert(format!("{} {}", process.display(), read("comm").trim_end()));
        }
        let mut holds = vec![process.join("ns/net")];
        if process
            .file_name()
            .is_some_and(|pid| *pid == *std::process::id().to_string())
        {
            let descriptors = fs::read_dir(process.join("fd"));
            holds.extend(
                descriptors
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
        for path in holds {
            if fs::metadata(&path).is_ok_and(|found| namespaces.contains(&found.ino()))
                && fs::read_link(&path)
                    .is_ok_and(|target| target.to_string_lossy().starts_with("net:"))
            {
                self.namespaces.insert(path.display().to_string());
            }
        }
    }
}

/// Numbers of the network namespaces of a lab.
pub(crate) fn namespaces(lab: &Lab) -> Result<BTreeSet<u64>> {
    let numbers = lab.hosts().iter().map(|host| Ok(fstat(host.net())?.st_ino));
    numbers
        .collect::<Result<_>>()
        .context("look at the namespaces")
}

fn note_directories(path: &Path, into: &mut BTreeSet<String>) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    into.insert(path.display().to_string());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            note_directories(&entry.path(), into)?;
        }
    }
    Ok(())
}
