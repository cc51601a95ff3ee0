//! The bookstore, an API server that has it, and an agent that asks that one.

use std::{collections::BTreeMap, fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use steer::control::read_status;
use steer_tests::{
    agent::Agent,
    client::{Storm, tally},
    lab::Lab,
    server::api::{ApiServer, Faults},
    topology, wait,
};

/// How long something may take to be noticed: longer than the longest pause of a client that was
/// turned away a few times.
pub(crate) const NOTICE_MAX: Duration = Duration::from_secs(20);

/// The bookstore and its API server.
pub(crate) struct Stage {
    pub(crate) agent: Option<Agent>,
    pub(crate) server: ApiServer,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Raises it, with Istio's kinds of a version and the catalog split 90/10, and starts the agent.
    pub(crate) fn raise(purpose: &str) -> Result<Self> {
        let mut stage = Self::without_istio(purpose)?;
        stage.server.install_istio("v1");
        stage.server.apply(topology::CATALOG_SUBSETS)?;
        stage.split([90, 10])?;
        stage.start()?;
        Ok(stage)
    }

    /// Raises it with what Kubernetes itself has, and no agent.
    pub(crate) fn without_istio(purpose: &str) -> Result<Self> {
        let lab = topology::bookstore_for_storms(&Lab::fresh_name(purpose))?;
        let server = ApiServer::start(lab.node()?)?;
        server.apply(&fs::read_to_string(topology::bookstore_cluster())?)?;
        // The agent has no files.
        lab.unconfigure("cluster.yaml")?;
        Ok(Self {
            agent: None,
            server,
            lab,
        })
    }

    /// Starts the agent, and waits until it is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        self.agent = Some(self.agent_with(arguments)?);
        Ok(())
    }

    /// Starts the agent while the server does something that is wrong with a resource, until the agent
    /// has asked for it and waited a little.
    pub(crate) fn start_against(&mut self, plural: &str, status: u16) -> Result<()> {
        self.server.fail(Faults {
            status: vec![(plural.to_owned(), status)],
            ..Faults::default()
        });
        let before = self.asked_for(plural);
        let agent = thread::scope(|scope| {
            let mended = scope.spawn(|| {
                let asked = eventually("the agent asks", || {
                    let asked = self.asked_for(plural) > before;
                    Ok(if asked { Ok(()) } else { Err(String::new()) })
                });
                thread::sleep(Duration::from_millis(500));
                self.server.fail(Faults::default());
                asked
            });
            let agent = self.agent_with(&[])?;
            ensure!(mended.is_finished(), "the agent is ready without {plural}");
            Ok(agent)
        })?;
        self.agent = Some(agent);
        Ok(())
    }

    /// How often a resource was asked for.
    fn asked_for(&self, plural: &str) -> usize {
        let asked = self.server.asked();
        asked.iter().filter(|line| line.contains(plural)).count()
    }

    fn agent_with(&self, arguments: &[&str]) -> Result<Agent> {
        let kubeconfig = self.server.kubeconfig(self.lab.dirs().run())?;
        agent(&self.lab, &kubeconfig, arguments)
    }

    /// Writes the split of the catalog to the server.
    pub(crate) fn split(&self, weights: [u32; 2]) -> Result<()> {
        let [v1, v2] = weights;
        self.server.apply(&format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: catalog, namespace: istioinaction}}\n\
             spec:\n  hosts: [catalog]\n  http:\n  - route:\n    \
             - {{destination: {{host: catalog, subset: v1}}, weight: {v1}}}\n    \
             - {{destination: {{host: catalog, subset: v2}}, weight: {v2}}}\n"
        ))
    }

    /// Who answers so many connections from the client to the catalog.
    pub(crate) fn dial(&self, count: u64) -> Result<BTreeMap<String, u64>> {
        let attempts = Storm::new(topology::catalog(), count).run(self.lab.pod("client")?)?;
        let tally = tally(&attempts).into_iter();
        Ok(tally
            .map(|(name, count)| (name.to_owned(), count))
            .collect())
    }

    /// The split is exact, as soon as the agent has heard of it.
    pub(crate) fn await_split(&self, weights: [u64; 2]) -> Result<()> {
        self.await_answers(&[("catalog-v1", weights[0]), ("catalog-v2", weights[1])])
    }

    /// Of as many connections to the catalog as there are answers, these are the answers.
    pub(crate) fn await_answers(&self, answers: &[(&str, u64)]) -> Result<()> {
        let count = answers.iter().map(|(_, count)| count).sum();
        let seen = answers.iter().filter(|(_, count)| *count > 0);
        let wanted: BTreeMap<String, u64> = seen
            .map(|&(name, count)| (name.to_owned(), count))
            .collect();
        eventually(&format!("{answers:?}"), || {
            let found = self.dial(count)?;
            Ok(if found == wanted {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            })
        })
    }

    /// The agent's status fits.
    pub(crate) fn await_status(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let told = eventually(what, || {
            let status = read_status(&self.lab.dirs().state())?.unwrap_or_default();
            let fit = fits(&status);
            last = status;
            Ok(if fit { Ok(()) } else { Err(last.to_string()) })
        });
        told.map(|()| last)
    }

    /// What the agent has written to its log.
    pub(crate) fn log(&self) -> Result<String> {
        let agent = self.agent.as_ref().context("an agent")?;
        Ok(fs::read_to_string(agent.log())?)
    }

    /// Ends the agent as an operator does.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let code = self.agent.take().context("an agent")?.stop()?;
        ensure!(code == 0, "the agent ends with {code}");
        Ok(())
    }
}

/// Starts an agent on the node of a lab, which asks the server that a kubeconfig names.
pub(crate) fn agent(lab: &Lab, kubeconfig: &Path, arguments: &[&str]) -> Result<Agent> {
    let mut command = lab.steer("agent")?;
    command.arg("--kubernetes").arg("--kubeconfig");
    command.arg(kubeconfig);
    command
        .arg("--cgroup")
        .arg(lab.dirs().cluster_cgroup().path());
    command.args(arguments);
    Agent::start(lab.node()?, command)
}

/// Asks until it holds; the last complaint is told.
pub(crate) fn eventually(
    what: &str,
    ask: impl FnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    wait::until(NOTICE_MAX, what, ask)
}
