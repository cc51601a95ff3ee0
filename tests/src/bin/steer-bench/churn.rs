//! An agent on a large cluster's API server: what the first list, doing nothing, and a hundred changes a
//! second cost it, and how long a change takes until it is in the kernel.

use std::{
    fs,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use steer::kernel::{Maps, Pins};
use steer_common::Proto;
use steer_tests::{agent::Agent, lab::Lab, server::api::ApiServer};

use crate::{
    agent::{AT_MOST, NOW, memory},
    images,
    report::{Report, median, say},
};

/// Changes a second.
const RATE: u32 = 100;
/// Every so many of them is one whose way to the kernel is timed.
const PROBE_EVERY: u32 = 10;
/// How long a change may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the kernel is asked.
const PAUSE: Duration = Duration::from_micros(200);
const NODE: &str = "node-0";
/// The service whose weights change.
const PROBED: u32 = 7;

/// How large the cluster is, and for how long it is looked at.
struct Size {
    services: u32,
    endpoints: u32,
    pods_here: u32,
    seconds: u32,
}

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let size = if full {
        Size {
            services: 10_000,
            endpoints: 10,
            pods_here: 250,
            seconds: 30,
        }
    } else {
        Size {
            services: 1_000,
            endpoints: 10,
            pods_here: 100,
            seconds: 5,
        }
    };
    let lab = Lab::builder(&Lab::fresh_name("bench-churn")).build()?;
    let server = ApiServer::start(lab.node()?)?;
    fill(&server, &size)?;
    let pods = size.services * size.endpoints;
    say(&format!(
        "an API server with {} services, {pods} endpoints and as many pods, {} of them on this node",
        size.services, size.pods_here
    ));
    let started = Instant::now();
    let agent = start(&lab, &server)?;
    let first = started.elapsed();
    let held = memory(&agent, NOW)?;
    say(&format!(
        "  in force {:.1} s after the start, at {held:.0} MB",
        first.as_secs_f64()
    ));
    report.figure("cluster.first_list_s", first.as_secs_f64());
    report.figure("cluster.agent_rss_mb", held);
    at_rest(&agent, &server, &size, report)?;
    churn(&lab, &agent, &server, &size, report)?;
    report.figure("cluster.rss_after_churn_mb", memory(&agent, NOW)?);
    report.figure("cluster.rss_peak_mb", memory(&agent, AT_MOST)?);
    agent.stop()?;
    Ok(())
}

fn start(lab: &Lab, server: &ApiServer) -> Result<Agent> {
    let mut command = lab.steer("agent")?;
    command.arg("--kubernetes").arg("--kubeconfig");
    command.arg(server.kubeconfig(lab.dirs().run())?);
    command.args(["--node-name", NODE]);
    command
        .arg("--cgroup")
        .arg(lab.dirs().cluster_cgroup().path());
    Agent::start(lab.node()?, command)
}

/// Everything there is, before anybody watches.
fn fill(server: &ApiServer, size: &Size) -> Result<()> {
    server.install_istio("v1");
    server.put(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"},
    }))?;
    for number in 0..size.services {
        server.put(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("s{number}"), "namespace": "shop"},
            "spec": {
                "clusterIP": images::address(number),
                "selector": {"app": format!("s{number}")},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            },
        }))?;
        server.put(slice(number, size, 0))?;
        for one in 0..size.endpoints {
            server.put(pod(number, one, size))?;
        }
    }
    server.put(split(0))?;
    // What happened until now is forgotten: nobody watches from before.
    server.compact();
    Ok(())
}

fn endpoint(number: u32, one: u32, size: &Size) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 + number * size.endpoints + one)
}

/// The endpoints of a service; in each round another one is not ready.
fn slice(number: u32, size: &Size, round: u32) -> Value {
    let endpoints: Vec<Value> = (0..size.endpoints)
        .map(|one| {
            let ready = round == 0 || one != round % size.endpoints;
            json!({
                "addresses": [endpoint(number, one, size)],
                "conditions": {"ready": ready},
                "targetRef": {
                    "kind": "Pod", "namespace": "shop", "name": format!("s{number}-{one}"),
                },
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{number}"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": format!("s{number}")},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    })
}

fn pod(number: u32, one: u32, size: &Size) -> Value {
    let node = if number * size.endpoints + one < size.pods_here {
        NODE
    } else {
        "another"
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("s{number}-{one}"), "namespace": "shop",
            "labels": {"app": format!("s{number}"), "version": format!("v{}", one % 2 + 1)},
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "image": "main", "ports": [{"containerPort": 8080}]}],
        },
        // No process is behind it.
        "status": {"phase": "Pending", "podIP": endpoint(number, one, size)},
    })
}

fn split(round: u32) -> Value {
    let host = format!("s{PROBED}");
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": host, "namespace": "shop"},
        "spec": {
            "hosts": [host],
            "http": [{"route": [
                {"destination": {"host": host}, "weight": 899 - round % 800},
                {"destination": {"host": "s8"}, "weight": 101 + round % 800},
            ]}],
        },
    })
}

/// What it costs when nothing happens.
fn at_rest(agent: &Agent, server: &ApiServer, size: &Size, report: &mut Report) -> Result<()> {
    let (asked, before) = (server.asked().len(), cpu(agent.pid())?);
    let time = Duration::from_secs(u64::from(size.seconds));
    thread::sleep(time);
    let share = (cpu(agent.pid())? - before) / time.as_secs_f64();
    let minute = 60.0 * (server.asked().len() - asked) as f64 / time.as_secs_f64();
    say(&format!(
        "  at rest: {:.1} % of a core, {minute:.0} requests a minute",
        100.0 * share
    ));
    report.figure("cluster.rest_cpu_ratio", share);
    report.figure("cluster.rest_requests_per_minute", minute);
    Ok(())
}

/// A hundred changes of endpoints a second, and between them the probes.
fn churn(
    lab: &Lab,
    agent: &Agent,
    server: &ApiServer,
    size: &Size,
    report: &mut Report,
) -> Result<()> {
    let maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    let key = images::key(PROBED, 0, Proto::Tcp);
    let generation = || -> Result<u32> {
        let route = maps.route(&key)?;
        Ok(route
            .context("the service is not in the kernel")?
            .generation)
    };
    let (begun, before) = (Instant::now(), cpu(agent.pid())?);
    let mut times = Vec::new();
    for change in 0..size.seconds * RATE {
        let due = begun + change * Duration::from_secs(1) / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if change % PROBE_EVERY != 0 {
            // Away from the services that the probe is about.
            let number = 20 + change * 7919 % (size.services - 20);
            server.put(slice(number, size, change))?;
            continue;
        }
        let (seen, written) = (generation()?, Instant::now());
        server.put(split(change / PROBE_EVERY + 1))?;
        while generation()? == seen {
            ensure!(written.elapsed() < PATIENCE, "a change does not arrive");
            thread::sleep(PAUSE);
        }
        times.push(written.elapsed().as_secs_f64() * 1e3);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let share = (cpu(agent.pid())? - before) / elapsed;
    let rate = f64::from(size.seconds * RATE) / elapsed;
    times.sort_by(f64::total_cmp);
    let p50 = median(&times);
    let p99 = times[(times.len() * 99 / 100).min(times.len() - 1)];
    say(&format!(
        "  {rate:.0} changes a second: {:.0} % of a core; in the kernel after {p50:.1} ms (median), \
         {p99:.1} ms (99 of 100)",
        100.0 * share
    ));
    report.figure("cluster.changes_per_second", rate);
    report.figure("cluster.agent_cpu_ratio", share);
    report.at_most("cluster.propagation_ms_p50", p50, 20.0);
    report.at_most("cluster.propagation_ms_p99", p99, 200.0);
    Ok(())
}

/// Seconds of processor time that a process has used.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no name in stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> {
        let field = fields.next().context("stat is cut short")?;
        Ok(field.parse::<u64>()? as f64)
    };
    // USER_HZ has been 100 on every architecture steer runs on.
    Ok((ticks()? + ticks()?) / 100.0)
}
