//! The life of an agent: it is killed, started again, asked to end; pods come and go.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use steer_tests::{
    client::{Storm, Until, tally},
    harness::test,
    lab::{HostSpec, Lab},
    pod::tail,
};

use crate::stage::{
    ROUTE, Stage, catalog, ensure_ninety_ten, eventually, istio, raise_lab, rows, split, status,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("life::killed_under_connections", killed),
        test("life::started_again_it_takes_over", adopts),
        test("life::changed_while_nobody_looked", absent),
        test("life::asked_to_end_it_leaves_the_data_path", asked),
        test("life::pods_get_their_class_within_a_second", pods),
    ]
}

/// How often the agent is killed under connections.
const KILLS: u32 = 5;

fn killed() -> Result<()> {
    let lab = raise_lab("killed")?;
    let mut agent = lab.agent()?;
    let storm = Storm {
        until: Until::Told,
        threads: 2,
        ..Storm::new(catalog(), 0)
    };
    let running = storm.start(lab.pod("client")?)?;
    for kill in 0..KILLS {
        // In the middle of a change, and in the middle of nothing.
        if kill % 2 == 0 {
            lab.configure(ROUTE, &split([50 + kill, 50 - kill]))?;
        }
        agent.kill()?;
        ensure!(!running_agent(&lab)?, "it lives");
        agent = lab.agent()?;
    }
    lab.configure(ROUTE, &split([90, 10]))?;
    let stage = Stage { lab, agent };
    stage.await_weights(&[90, 10])?;
    let found = running.finish()?;
    let tally = tally(&found);
    let known = ["catalog-v1", "catalog-v2"];
    ensure!(
        tally.keys().all(|name| known.contains(name)) && found.len() > 1_000,
        "{tally:?}"
    );
    ensure_ninety_ten(&stage.lab)
}

/// Whether the process of the last status lives.
fn running_agent(lab: &Lab) -> Result<bool> {
    let pid = status(lab)?["pid"].as_i64().context("a pid")?;
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), None).is_ok())
}

/// The same rows, the same tickets: of ten connections in a row nine and one, whoever looks on.
fn adopts() -> Result<()> {
    let stage = Stage::raise("adopts")?;
    let generation = status(&stage.lab)?["generation"].as_u64();
    let stage = stage.succeeded(|_| Ok(()))?;
    stage.split([80, 20])?;
    let next = status(&stage.lab)?["generation"].as_u64();
    ensure!(next > generation, "{generation:?}, then {next:?}");
    Ok(())
}

/// What was changed while no agent ran is in force when one is ready.
fn absent() -> Result<()> {
    let Stage { lab, agent } = Stage::raise("absent")?;
    agent.kill()?;
    lab.configure(ROUTE, &split([40, 60]))?;
    ensure_ninety_ten(&lab)?;
    let agent = lab.agent()?;
    let stage = Stage { lab, agent };
    stage.await_weights(&[40, 60])
}

fn asked() -> Result<()> {
    let lab = raise_lab("asked")?;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let agent = lab.agent()?;
        let before = rows(&lab)?;
        let log = agent.log().to_owned();
        if signal == Signal::SIGINT {
            kill(Pid::from_raw(i32::try_from(agent.pid())?), signal)?;
            eventually("the agent's end", || {
                Ok(tail(&log, 500)?.contains("steer unload").then_some(()))
            })?;
        }
        // What ended already keeps its exit code.
        ensure!(agent.stop()? == 0, "{signal}");
        ensure!(tail(&log, 500)?.contains("stays in force"), "{signal}");
        ensure!(rows(&lab)? == before, "{signal} changed something");
        ensure_ninety_ten(&lab)?;
    }
    Ok(())
}

/// A rule for clients with a label.
fn labelled(value: &str) -> String {
    istio(
        "VirtualService",
        "catalog",
        &format!(
            "hosts: [catalog]\nhttp:\n  - match: [{{sourceLabels: {{app: {value}}}}}]\n    route:\n      \
             - destination: {{host: catalog, subset: v2}}\n  - route:\n      \
             - destination: {{host: catalog, subset: v1}}"
        ),
    )
}

fn pod_yaml(name: &str, address: IpAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: istioinaction, \
         labels: {{app: beta}}}}\nstatus: {{podIP: {address}}}\n"
    )
}

/// How long a new pod may be taken for anybody.
const CLASS_MAX: Duration = Duration::from_secs(1);

fn pods() -> Result<()> {
    let mut stage = Stage::raise("pods")?;
    stage.lab.configure(ROUTE, &labelled("beta"))?;
    stage.await_weights(&[100])?;
    ensure!(only(&stage.lab, "client", "catalog-v1")?);
    let address = IpAddr::from([10, 10, 0, 77]);
    // The pod is declared first and appears later; another one the other way round.
    stage
        .lab
        .configure("beta.yaml", &pod_yaml("beta", address))?;
    let known = rows(&stage.lab)?.sources.len();
    let spec = HostSpec {
        namespace: "istioinaction".to_owned(),
        ..HostSpec::pod("beta", [address])
    };
    stage.lab.add(spec)?;
    within_a_second(&stage.lab, "beta")?;
    let other = IpAddr::from([10, 10, 0, 78]);
    let spec = HostSpec {
        namespace: "istioinaction".to_owned(),
        ..HostSpec::pod("gamma", [other])
    };
    stage.lab.add(spec)?;
    ensure!(
        only(&stage.lab, "gamma", "catalog-v1")?,
        "nobody knows it yet"
    );
    stage
        .lab
        .configure("gamma.yaml", &pod_yaml("gamma", other))?;
    within_a_second(&stage.lab, "gamma")?;
    ensure!(rows(&stage.lab)?.sources.len() == known + 2);
    // Whoever is not declared any more is nobody again.
    stage.lab.unconfigure("gamma.yaml")?;
    let started = Instant::now();
    eventually("gamma to be nobody", || {
        Ok((rows(&stage.lab)?.sources.len() == known + 1).then_some(()))
    })?;
    ensure!(started.elapsed() < CLASS_MAX, "{:?}", started.elapsed());
    ensure!(only(&stage.lab, "gamma", "catalog-v1")? && only(&stage.lab, "beta", "catalog-v2")?);
    // Its pod gone, a row of it is of no use.
    let pause = stage.lab.pod("beta")?.record().pause;
    kill(Pid::from_raw(pause), Signal::SIGKILL)?;
    eventually("beta to be forgotten", || {
        Ok((rows(&stage.lab)?.sources.len() == known).then_some(()))
    })
}

fn only(lab: &Lab, client: &str, server: &str) -> Result<bool> {
    let attempts = Storm::new(catalog(), 4).run(lab.pod(client)?)?;
    Ok(tally(&attempts).get(server) == Some(&4))
}

fn within_a_second(lab: &Lab, client: &str) -> Result<()> {
    let started = Instant::now();
    eventually(&format!("the class of {client}"), || {
        Ok(only(lab, client, "catalog-v2")?.then_some(()))
    })?;
    let took = started.elapsed();
    ensure!(took < CLASS_MAX, "{client} was anybody for {took:?}");
    Ok(())
}
