//! Pods that come and go while connections are split: none of them may ever reach what is refused, and
//! nothing of them is left.

use std::{collections::BTreeMap, fs, net::IpAddr, process::Stdio, sync::Mutex};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use steer::kernel::{Inventory, Maps, Pins};
use steer_tests::{
    client::{Storm, Until},
    figure::{Figure, Goal},
    harness::{full, test},
    lab::HostSpec,
    topology::catalog,
};

use crate::stage::{Stage, eventually};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("crowd::pods_come_and_go", come_and_go)]
}

/// What came of it: pods that came and went, those that reached what is refused, and what is left of them.
static SEEN: Mutex<Option<[u64; 3]>> = Mutex::new(None);

pub(crate) fn figures() -> Vec<Figure> {
    let seen = SEEN.lock().map_or(None, |seen| *seen);
    let Some([pods, gaps, leaks]) = seen else {
        return Vec::new();
    };
    vec![
        Figure::count("cluster.pods_cycled", pods),
        Figure::count("cluster.egress_gaps", gaps).goal(Goal::AtMost(0.0)),
        Figure::count("cluster.leaks", leaks).goal(Goal::AtMost(0.0)),
    ]
}

/// A host that the registry does not name.
const OUTSIDE: &str = "http://192.0.2.10/";

/// What an agent and the kernel have on account of pods.
#[derive(PartialEq, Eq, Debug)]
struct Held {
    descriptors: usize,
    pinned: usize,
    clients: usize,
    ports: usize,
}

impl Held {
    /// How much more there is than before.
    fn beyond(&self, before: &Self) -> u64 {
        let more = [
            self.descriptors.saturating_sub(before.descriptors),
            self.pinned.saturating_sub(before.pinned),
            self.clients.saturating_sub(before.clients),
            self.ports.saturating_sub(before.ports),
        ];
        more.into_iter().sum::<usize>() as u64
    }
}

fn held(stage: &Stage) -> Result<Held> {
    let agent = stage.agent.as_ref().context("an agent")?;
    let pins = Pins::new(stage.lab.dirs().pins());
    let live = Maps::open(&pins)?.read()?;
    Ok(Held {
        descriptors: fs::read_dir(format!("/proc/{}/fd", agent.pid()))?.count(),
        pinned: Inventory::pinned(&pins)?.count(),
        clients: live.sources.len(),
        ports: live.egress.ports.len(),
    })
}

fn come_and_go() -> Result<()> {
    let mut stage = Stage::raise("crowd")?;
    let client = stage.lab.pod("client")?.v4()?;
    stage.server.put(pod("client", client))?;
    stage.server.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
         data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n",
    )?;
    let reaches = |stage: &Stage, name: &str| -> Result<bool> {
        let mut command = stage.lab.pod(name)?.command("curl")?;
        command.args(["-sS", "--max-time", "2", "-o", "/dev/null", OUTSIDE]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(status?.success())
    };
    eventually("the outside is refused", || {
        let through = reaches(&stage, "client")?;
        Ok(if through { Err(String::new()) } else { Ok(()) })
    })?;
    let first = held(&stage)?;
    // What a first pod brings once stays.
    let mut gaps = one(&mut stage, 0, &reaches)?;
    eventually("the first to be gone", || {
        let now = held(&stage)?;
        let gone = (now.ports, now.clients) == (first.ports, first.clients);
        Ok(if gone {
            Ok(())
        } else {
            Err(format!("{first:?}, now {now:?}"))
        })
    })?;
    let before = held(&stage)?;
    let storm = Storm {
        until: Until::Told,
        rate: Some(200),
        ..Storm::new(catalog(), 0)
    };
    let running = storm.start(stage.lab.pod("client")?)?;
    let pods: u8 = if full() { 100 } else { 30 };
    for number in 1..=pods {
        gaps += one(&mut stage, number, &reaches)?;
    }
    let attempts = running.finish()?;
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    for attempt in &attempts {
        let name = attempt.identity().unwrap_or("nobody");
        *tally.entry(name).or_default() += 1;
    }
    let count = |name| tally.get(name).copied().unwrap_or_default();
    let (first, second) = (count("catalog-v1"), count("catalog-v2"));
    ensure!(
        first + second == attempts.len() as u64 && first.abs_diff(9 * second) <= 9,
        "not nine to one: {tally:?}"
    );
    let left = eventually("nothing to be left of them", || {
        let now = held(&stage)?;
        Ok(if now == before {
            Ok(())
        } else {
            Err(format!("{before:?}, now {now:?}"))
        })
    });
    let seen = [u64::from(pods) + 1, gaps, held(&stage)?.beyond(&before)];
    SEEN.lock().ok().context("the count")?.replace(seen);
    left?;
    ensure!(gaps == 0, "{gaps} times the outside was reached");
    Ok(())
}

/// A pod comes, tries at once and once it is known, and goes. How often it reached the outside.
fn one(
    stage: &mut Stage,
    number: u8,
    reaches: &impl Fn(&Stage, &str) -> Result<bool>,
) -> Result<u64> {
    let name = format!("passing-{number}");
    let address = IpAddr::from([10, 10, 7, number]);
    stage.lab.add(HostSpec {
        namespace: "istioinaction".to_owned(),
        ..HostSpec::pod(&name, [address])
    })?;
    let unknown = reaches(stage, &name)?;
    stage.server.put(pod(&name, address))?;
    let told = reaches(stage, &name)?;
    let known = Maps::open(&Pins::new(stage.lab.dirs().pins()))?;
    eventually(&format!("{name} to be known"), || {
        let sources = known.read()?.egress.ports.len();
        Ok(if sources > 1 {
            Ok(())
        } else {
            Err(sources.to_string())
        })
    })?;
    let judged = reaches(stage, &name)?;
    stage.server.delete("pods", "istioinaction", &name)?;
    stage.lab.remove(&name)?;
    Ok([unknown, told, judged].map(u64::from).into_iter().sum())
}

fn pod(name: &str, address: IpAddr) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "istioinaction"},
        "spec": {"containers": [{"name": "main", "image": "main"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}
