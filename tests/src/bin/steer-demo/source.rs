//! Where the walk writes what it applies: files, or the API server of a cluster.

use std::{cell::RefCell, collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use steer_tests::{agent::Agent, lab::Lab, server::api::ApiServer, topology};

/// Nobody wants to wait for what takes ten seconds and a minute on a node.
const SOON: [&str; 4] = ["--auto-every", "500ms", "--auto-hold", "1s"];

/// A place that an agent reads.
pub(crate) enum Source {
    /// The configuration directory of the lab.
    Files,
    /// An API server, and what was applied to it, by name.
    Cluster {
        server: ApiServer,
        applied: RefCell<BTreeMap<String, String>>,
    },
}

impl Source {
    /// Starts the agent of a lab on its files.
    pub(crate) fn files(lab: &Lab) -> Result<(Self, Agent)> {
        Ok((Self::Files, lab.agent_with(&SOON)?))
    }

    /// Starts an API server with what the files of a lab hold, and the agent on that one.
    pub(crate) fn cluster(lab: &Lab) -> Result<(Self, Agent)> {
        let server = ApiServer::start(lab.node()?)?;
        server.install_istio("v1");
        server.apply(&fs::read_to_string(topology::bookstore_cluster())?)?;
        lab.unconfigure("cluster.yaml")?;
        let mut command = lab.steer("agent")?;
        command.args(["--kubernetes", "--feedback", "--kubeconfig"]);
        command.arg(server.kubeconfig(lab.dirs().run())?);
        command
            .arg("--cgroup")
            .arg(lab.dirs().cluster_cgroup().path());
        command.args(SOON);
        let agent = Agent::start(lab.node()?, command)?;
        let applied = RefCell::default();
        Ok((Self::Cluster { server, applied }, agent))
    }

    /// Whether files are read.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files)
    }

    /// Writes a text under a name, in place of what was written under it.
    pub(crate) fn put(&self, lab: &Lab, name: &str, text: &str) -> Result<()> {
        match self {
            Self::Files => lab.configure(name, text),
            Self::Cluster { server, applied } => {
                server.apply(text)?;
                applied
                    .borrow_mut()
                    .insert(name.to_owned(), text.to_owned());
                Ok(())
            }
        }
    }

    /// Takes back what was written under a name; false if nothing was.
    pub(crate) fn take(&self, lab: &Lab, name: &str) -> Result<bool> {
        match self {
            Self::Files => {
                let is_there = lab.dirs().config().join(name).exists();
                if is_there {
                    lab.unconfigure(name)?;
                }
                Ok(is_there)
            }
            Self::Cluster { server, applied } => {
                let Some(text) = applied.borrow_mut().remove(name) else {
                    return Ok(false);
                };
                server
                    .withdraw(&text)
                    .with_context(|| format!("delete {name}"))?;
                Ok(true)
            }
        }
    }
}
