//! What a lab writes down about itself, for other processes and for whoever sweeps after a crash.

use std::{collections::BTreeMap, fs, net::IpAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::dirs::Dirs;

/// A lab as written to its directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The process that raised it.
    pub owner: u32,
    /// It is meant to outlive its owner.
    pub persistent: bool,
    /// The node, the pods, the hosts outside.
    pub hosts: Vec<HostRecord>,
}

/// One host of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Labels of the pod.
    pub labels: BTreeMap<String, String>,
    /// Its addresses, the first of each family being the one it speaks from.
    pub addresses: Vec<IpAddr>,
    /// The process that keeps its namespaces.
    pub pause: i32,
}

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The machine that pods run on.
    Node,
    /// A pod.
    Pod,
    /// A machine of another network, never steered.
    Outside,
}

impl Record {
    /// Reads the record of a lab.
    pub fn read(dirs: &Dirs) -> Result<Self> {
        let path = path(dirs);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("understand {}", path.display()))
    }

    /// Writes it; readers see the old one or the new one.
    pub fn write(&self, dirs: &Dirs) -> Result<()> {
        let path = path(dirs);
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_string_pretty(self)?)?;
        fs::rename(&fresh, &path).with_context(|| format!("write {}", path.display()))
    }
}

fn path(dirs: &Dirs) -> PathBuf {
    dirs.run().join("lab.json")
}
