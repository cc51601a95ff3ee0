//! What the agent says of itself, in a file, so that it can be read when the agent is gone.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use steer_common::service::ClassId;

use crate::{access_log::Counted, desired::model::Sides, finding::Finding, proxy::Mirrored};

pub(super) const NAME: &str = "status.json";

/// Whether what is written is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What is written is in force.
    Applied,
    /// What is written cannot be used; the last good configuration is in force.
    Refused,
}

/// The agent's status.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The version of steer.
    pub version: &'static str,
    /// What is read.
    pub config: Vec<String>,
    /// The cgroup whose sockets are steered.
    pub cgroup: String,
    /// When this was written (RFC 3339).
    pub written: String,
    /// The generation in force.
    pub generation: u32,
    /// The generation whose rules somebody returned to.
    pub rolled_back: Option<u32>,
    /// What somebody else changed in the kernel and was put right, the latest last.
    pub repaired: Vec<String>,
    /// Whether what is written is in force.
    pub state: State,
    /// The pods of this node that were found, and the cgroup of each: where its programs run.
    pub pods: BTreeMap<String, PathBuf>,
    /// Class -> what it stands for.
    pub classes: BTreeMap<ClassId, String>,
    /// What became of copies of requests.
    pub mirrored: Mirrored,
    /// Who has an access log, and what became of its lines.
    pub access_log: AccessLog,
    /// Findings of what is written, whether or not it is in force.
    pub findings: Vec<Finding>,
    /// Where metrics can be asked for, if they can.
    pub metrics: Option<SocketAddr>,
}

/// Who has an access log, and what became of its lines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AccessLog {
    /// Where lines go.
    pub file: String,
    /// The pods that log.
    pub pods: BTreeMap<String, Sides>,
    /// What became of lines.
    #[serde(flatten)]
    pub lines: Counted,
}

impl Status {
    /// Whether two statuses differ in nothing but when they were written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let unwritten = |status: &Self| Self {
            written: String::new(),
            ..status.clone()
        };
        unwritten(self) == unwritten(other)
    }

    /// Replaces the status of a state directory.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let mut fresh = tempfile::NamedTempFile::new_in(state)?;
        serde_json::to_writer_pretty(&mut fresh, self)?;
        fresh.write_all(b"\n")?;
        fresh.persist(state.join(NAME))?;
        Ok(())
    }
}

/// The status of a state directory; `None` if no agent has run there.
pub fn read_status(state: &Path) -> io::Result<Option<Value>> {
    match fs::read(state.join(NAME)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
