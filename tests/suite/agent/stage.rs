//! The bookstore with an agent, and what can be seen of it: its status, the kernel's rows, traffic.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use steer::{
    control::read_status,
    kernel::{Maps, Pins},
};
use steer_common::{
    endpoint::Endpoint,
    service::{Route, RowId, ServiceKey, Source},
};
pub(crate) use steer_tests::topology::catalog;
use steer_tests::{
    agent::Agent,
    client::{Storm, tally},
    lab::Lab,
    topology, wait,
};

/// How long the agent may take to notice something.
pub(crate) const NOTICE_MAX: Duration = Duration::from_secs(10);
/// The file that decides the split of the catalog.
pub(crate) const ROUTE: &str = "route.yaml";

/// Everything is judged, so that interfaces are guarded.
pub(crate) const REGISTRY_ONLY: &str = "apiVersion: v1\nkind: ConfigMap\n\
    metadata: {name: istio, namespace: istio-system}\n\
    data:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";

/// The namespace of the bookstore.
const NAMESPACE: &str = "istioinaction";

/// What the kernel is told to do: everything in the maps but what connections count.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rows {
    services: BTreeMap<ServiceKey, RowId>,
    routes: BTreeMap<RowId, Route>,
    endpoints: BTreeMap<u32, Endpoint>,
    pub(crate) sources: BTreeMap<u64, Source>,
}

/// The bookstore, its catalog split 90/10 by the file `ROUTE`, and its agent.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) agent: Agent,
}

impl Stage {
    /// Raises it.
    pub(crate) fn raise(purpose: &str) -> Result<Self> {
        let lab = raise_lab(purpose)?;
        let agent = lab.agent()?;
        Ok(Self { lab, agent })
    }

    /// The agent is killed, something is done meanwhile, and another one comes: the same rows, the same
    /// tickets, and of twenty connections on the way eighteen and two.
    pub(crate) fn succeeded(self, meanwhile: impl FnOnce(&Lab) -> Result<()>) -> Result<Self> {
        let Self { lab, agent } = self;
        let client = lab.pod("client")?;
        let mut attempts = Storm::new(catalog(), 7).run(client)?;
        let before = rows(&lab)?;
        agent.kill()?;
        meanwhile(&lab)?;
        attempts.extend(Storm::new(catalog(), 6).run(client)?);
        let agent = lab.agent()?;
        ensure!(rows(&lab)? == before, "the rows are others");
        attempts.extend(Storm::new(catalog(), 7).run(client)?);
        let found = tally(&attempts);
        ensure!(
            found.get("catalog-v1") == Some(&18) && found.get("catalog-v2") == Some(&2),
            "{found:?}"
        );
        let tickets = Maps::open(&Pins::new(lab.dirs().pins()))?.read()?.tickets;
        ensure!(tickets.values().any(|&given| given == 20), "{tickets:?}");
        Ok(Self { lab, agent })
    }

    /// Runs `cause`, and returns the status once it fits.
    pub(crate) fn after(
        &self,
        cause: impl FnOnce() -> Result<()>,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        cause()?;
        wait_for(&self.lab, fits)
    }

    /// Writes the split of the catalog and waits until the kernel has it.
    pub(crate) fn split(&self, weights: [u32; 2]) -> Result<()> {
        self.lab.configure(ROUTE, &split(weights))?;
        self.await_weights(&weights)
    }

    /// Waits until the kernel splits the catalog like this, and the agent has said so: its status, and the
    /// rules that can be returned to, are written once the kernel has them.
    pub(crate) fn await_weights(&self, weights: &[u32]) -> Result<()> {
        eventually(&format!("a split of {weights:?}"), || {
            Ok((catalog_weights(&self.lab)? == weights).then_some(()))
        })?;
        eventually("a status of what is in force", || {
            let told = status(&self.lab)?["generation"].as_u64();
            let live = Maps::open(&Pins::new(self.lab.dirs().pins()))?.read()?;
            let in_force = live.applying == 0 && told == Some(live.generation.into());
            Ok(in_force.then_some(()))
        })
    }
}

/// The bookstore with its configuration; no agent yet.
pub(crate) fn raise_lab(purpose: &str) -> Result<Lab> {
    let lab = topology::bookstore_for_storms(&Lab::fresh_name(purpose))?;
    lab.configure("destination-rule.yaml", topology::CATALOG_SUBSETS)?;
    lab.configure(ROUTE, &split([90, 10]))?;
    Ok(lab)
}

/// Who answers `count` connections from the client to the catalog.
pub(crate) fn dial(lab: &Lab, count: u64) -> Result<BTreeMap<String, u64>> {
    let attempts = Storm::new(catalog(), count).run(lab.pod("client")?)?;
    let tally = tally(&attempts).into_iter();
    Ok(tally
        .map(|(name, count)| (name.to_owned(), count))
        .collect())
}

/// Any ten connections in a row are split nine to one.
pub(crate) fn ensure_ninety_ten(lab: &Lab) -> Result<()> {
    let found = dial(lab, 10)?;
    let expected = [("catalog-v1".to_owned(), 9), ("catalog-v2".to_owned(), 1)];
    ensure!(found == BTreeMap::from(expected), "{found:?}");
    Ok(())
}

/// What the kernel is told to do.
pub(crate) fn rows(lab: &Lab) -> Result<Rows> {
    let live = Maps::open(&Pins::new(lab.dirs().pins()))?.read()?;
    Ok(Rows {
        services: live.services,
        routes: live.routes,
        endpoints: live.endpoints,
        sources: live.sources,
    })
}

/// The weights of the catalog's destinations, as the kernel draws them, by a sum of 100.
fn catalog_weights(lab: &Lab) -> Result<Vec<u32>> {
    let rows = rows(lab)?;
    let wanted = |key: &ServiceKey| {
        key.class == 0 && key.addr == catalog().ip().into() && key.port.number() == catalog().port()
    };
    let (_, row) = rows
        .services
        .iter()
        .find(|(key, _)| wanted(key))
        .context("the catalog has no row")?;
    let route = rows.routes.get(row).context("a service without a row")?;
    let share = |weight: u32| 100 * weight / route.total.max(1);
    let destinations = route.destinations().iter();
    Ok(destinations.map(|found| share(found.weight)).collect())
}

/// The agent's status.
pub(crate) fn status(lab: &Lab) -> Result<Value> {
    read_status(&lab.dirs().state())?.context("the agent has written no status")
}

/// Waits until the agent's status fits.
pub(crate) fn wait_for(lab: &Lab, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_long_for(lab, NOTICE_MAX, fits)
}

/// Like `wait_for`, for changes that take their time.
pub(crate) fn wait_long_for(
    lab: &Lab,
    most: Duration,
    fits: impl Fn(&Value) -> bool,
) -> Result<Value> {
    ask_until(most, "another status", || {
        let status = status(lab)?;
        Ok(fits(&status).then_some(status))
    })
    .with_context(|| format!("the status is {}", status(lab).unwrap_or_default()))
}

/// Whether what is written is in force.
pub(crate) fn is_applied(status: &Value) -> bool {
    status["state"] == "applied"
}

/// Whether what is written is refused.
pub(crate) fn is_refused(status: &Value) -> bool {
    status["state"] == "refused"
}

/// Asks until there is an answer.
pub(crate) fn eventually<T: Debug>(
    what: &str,
    ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    ask_until(NOTICE_MAX, what, ask)
}

fn ask_until<T: Debug>(
    most: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait::until(most, what, || {
        Ok(ask()?.ok_or_else(|| "there is no answer".to_owned()))
    })
}

/// An object of Istio's in the bookstore.
pub(crate) fn istio(kind: &str, name: &str, spec: &str) -> String {
    let spec = format!("  {}\n", spec.trim_end().replace('\n', "\n  "));
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\n\
         metadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n{spec}"
    )
}

/// The VirtualService of `host` with one rule whose destinations are these.
pub(crate) fn route(name: &str, host: &str, destinations: &[String]) -> String {
    let list = format!("      - {}", destinations.join("\n      - "));
    istio(
        "VirtualService",
        name,
        &format!("hosts: [{host}]\nhttp:\n  - route:\n{list}\n"),
    )
}

/// A destination of the catalog.
pub(crate) fn to(subset: &str, weight: i64) -> String {
    format!("{{destination: {{host: catalog, subset: {subset}}}, weight: {weight}}}")
}

/// The split of the catalog.
pub(crate) fn split(weights: [u32; 2]) -> String {
    let [first, second] = weights.map(i64::from);
    route("catalog", "catalog", &[to("v1", first), to("v2", second)])
}
