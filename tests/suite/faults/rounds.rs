//! A change of several rounds, for which there are not enough free rows at once: the kernel refuses
//! a write of it, and all of it is undone.

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    agent::{Agent, Death},
    harness::{full, test},
    lab::Lab,
};

use crate::{
    content::Content,
    refused::{has_code, status},
    world::{Config, look, mixed, raise},
};

/// Rows for so many services: of four endpoints each, and one eighth more.
const MAX: &str = "70";
/// Services of each configuration, besides those of the bookstore.
const COUNT: u8 = 50;
/// Endpoints of each: there are not enough free rows for those of half of the services.
const ENDPOINTS: u8 = 5;
/// Rounds that the change takes at least: the generation goes up by one with each.
const ROUNDS_MIN: u32 = 3;
/// Without full counts, every so many writes.
const STRIDE: usize = 47;

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("rounds::a_refusal_undoes_all_of_them", undone)]
}

fn undone() -> Result<()> {
    let lab = raise("rounds")?;
    write(&lab, Config::First)?;
    lab.agent_with(&["--max-services", MAX])?.kill()?;
    let before = Content::of(&lab)?;
    write(&lab, Config::Second)?;
    let writes = (1..).step_by(if full() { 1 } else { STRIDE });
    for (refusals, write) in (0..).zip(writes) {
        let agent = start(&lab, &format!("refuse:{write}"))?;
        let after = Content::of(&lab)?;
        let told = status(&lab)?;
        agent.kill()?;
        if told["state"] == "applied" {
            ensure!(refusals > 0, "nothing was written");
            let rounds: u32 = after.generation() - before.generation();
            ensure!(rounds >= ROUNDS_MIN, "it took {rounds} rounds");
            break;
        }
        ensure!(has_code(&told, "STR0702"), "{write}: {told}");
        let same = after.ensure_is(&before);
        same.map_err(|error| error.context(format!("after a refusal at write {write}")))?;
    }
    ensure_is(&lab, Config::Second)?;
    broken(&lab)
}

/// The way back is refused too: it is told, and whoever comes next finishes.
fn broken(lab: &Lab) -> Result<()> {
    write(lab, Config::First)?;
    let agent = start(lab, "broken:150")?;
    let told = status(lab)?;
    let complaints = mixed(&look(lab)?, [Config::First, Config::Second]);
    agent.kill()?;
    ensure!(has_code(&told, "STR0704"), "{told}");
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    lab.agent_with(&["--max-services", MAX])?.kill()?;
    ensure_is(lab, Config::First)
}

fn ensure_is(lab: &Lab, config: Config) -> Result<()> {
    let complaints = mixed(&look(lab)?, [config, config]);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn start(lab: &Lab, fault: &str) -> Result<Agent> {
    let mut command = lab.agent_command()?;
    command.args(["--max-services", MAX]);
    command.env("STEER_FAULT", fault);
    match Agent::start_that_may_die(lab.node()?, command)? {
        Death::Ready(agent) => Ok(agent),
        Death::Killed | Death::Ended(..) => bail!("the agent died of {fault}"),
    }
}

fn write(lab: &Lab, config: Config) -> Result<()> {
    let (first, port) = match config {
        Config::Second => (11, 8081),
        Config::First | Config::Open => (1, 8080),
    };
    let services: Vec<String> = (first..first + COUNT)
        .map(|index| service(index, port))
        .collect();
    lab.configure("many.yaml", &services.join("---\n"))?;
    config.write(lab)
}

/// A service that nobody dials.
fn service(index: u8, port: u16) -> String {
    let endpoints: String = (1..=ENDPOINTS)
        .map(|last| {
            format!("  - addresses: [10.99.{index}.{last}]\n    conditions: {{ready: true}}\n")
        })
        .collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s{index}, namespace: many}}\nspec:\n  \
         clusterIP: 10.200.2.{index}\n  ports: [{{name: http, port: 80}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s{index}-ipv4\n  \
         namespace: many\n  labels: {{kubernetes.io/service-name: s{index}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints:\n{endpoints}"
    )
}
