//! The bookstore with an agent, and a VirtualService of the catalog that looks at requests.

use std::{
    collections::BTreeMap,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use steer::control::read_status;
use steer_tests::{agent::Agent, lab::Lab, pod::Pod, topology};

/// Where the rules stand.
const ROUTE: &str = "route.yaml";
/// Connections of one client are served on two threads, wherever this runs.
const THREADS: [&str; 2] = ["--proxy-threads", "2"];
/// How long the agent may take to notice something.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// Who says that they are of the house gets version 2, everybody else version 1.
pub(crate) const COHORT: &str = "\
http:
  - match: [{headers: {x-istio-cohort: {exact: internal}}}]
    route: [{destination: {host: catalog, subset: v2}}]
  - route: [{destination: {host: catalog, subset: v1}}]
";

/// The bookstore and its agent.
pub(crate) struct Stage {
    // Before the lab: the agent goes first.
    pub(crate) agent: Agent,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Raises it, with these rules in force.
    pub(crate) fn raise(purpose: &str, rules: &str) -> Result<Self> {
        Self::raise_with(purpose, rules, &[])
    }

    /// The same, with arguments for the agent.
    pub(crate) fn raise_with(purpose: &str, rules: &str, arguments: &[&str]) -> Result<Self> {
        let lab = topology::bookstore(&Lab::fresh_name(purpose))?;
        lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
        lab.configure(ROUTE, &virtual_service(rules, ""))?;
        let agent = lab.agent_with(&[&THREADS, arguments].concat())?;
        Ok(Self { agent, lab })
    }

    /// Replaces the rules, and waits until they are in force.
    pub(crate) fn route(&self, rules: &str, annotations: &str) -> Result<()> {
        self.configure(ROUTE, &virtual_service(rules, annotations))
    }

    /// Gives the agent a file, and waits until what is written is in force.
    pub(crate) fn configure(&self, name: &str, text: &str) -> Result<()> {
        let before = self.status()?["written"].clone();
        self.lab.configure(name, text)?;
        eventually("what is written to be in force", || {
            let now = self.status()?;
            Ok(now["state"] == "applied" && now["written"] != before)
        })
    }

    /// The client.
    pub(crate) fn client(&self) -> Result<&Pod> {
        self.lab.pod("client")
    }

    /// What `steer WORDS` prints.
    pub(crate) fn steer(&self, words: &[&str]) -> Result<String> {
        let (subcommand, rest) = words.split_first().context("steer needs a subcommand")?;
        let mut command: Command = self.lab.steer(subcommand)?;
        let output = command.args(rest).output().context("run steer")?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// How often the kernel gave this reason.
    pub(crate) fn reason(&self, name: &str) -> Result<u64> {
        reason(&self.lab, name)
    }

    fn status(&self) -> Result<Value> {
        read_status(&self.lab.dirs().state())?.context("the agent has written no status")
    }
}

fn virtual_service(rules: &str, annotations: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: catalog, namespace: istioinaction, annotations: {{{annotations}}}}}\n\
         spec:\n  hosts: [catalog]\n  {}\n",
        rules.trim_end().replace('\n', "\n  ")
    )
}

/// How often the kernel of a lab gave this reason.
pub(crate) fn reason(lab: &Lab, name: &str) -> Result<u64> {
    let pins = steer::kernel::Pins::new(lab.dirs().pins());
    let live = steer::kernel::Maps::open(&pins)?.read()?;
    let mut reasons = live.reasons.iter();
    let found = reasons.find(|(reason, _)| reason.name() == name);
    Ok(*found
        .with_context(|| format!("there is no reason {name}"))?
        .1)
}

/// Waits until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !holds()? {
        if started.elapsed() > NOTICE_MAX {
            bail!("waited {NOTICE_MAX:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// How often each came.
pub(crate) fn tally(versions: &[String]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for version in versions {
        *tally.entry(version.as_str()).or_default() += 1;
    }
    tally
}

/// They are the same.
pub(crate) fn ensure_same(who: &str, got: &[String], wanted: &[String]) -> Result<()> {
    ensure!(got == wanted, "{who}: {got:?}, expected {wanted:?}");
    Ok(())
}
