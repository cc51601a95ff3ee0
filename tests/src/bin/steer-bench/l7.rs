//! Requests that are looked at: by steer, with a header match, and tapped for a mirror, and by Envoy with the same
//! routes, and by HAProxy, beside clients that dial the server.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{
    agent::Agent,
    lab::{HostSpec, Lab},
    pod::Pod,
};

use crate::{
    churn,
    envoy::{Envoy, Listener},
    haproxy,
    report::{Report, quartiles, say},
    tap,
    throughput::zigzag,
    web::{self, Load},
};

pub(crate) const PORT: u16 = 8080;
/// Where Envoy listens in its client's pod.
const PROXY: u16 = 15_001;
/// The header that leads to the second version.
const COHORT: (&str, &str) = ("x-istio-cohort", "internal");
/// How long a round is.
const SECS: u32 = 1;
/// How long the agent may take to begin.
const BEGUN_MAX: Duration = Duration::from_secs(10);

/// The clients, and what each dials. The first two are what the others are compared with.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const AGAIN: &str = "direct-again";
pub(crate) const HEADER: &str = "steer-header";
pub(crate) const MIRROR: &str = "steer-mirror";
const ENVOY: &str = "envoy";
const HAPROXY: &str = "haproxy";
const CLIENTS: [&str; 6] = [DIRECT, AGAIN, HEADER, MIRROR, ENVOY, HAPROXY];

/// A kind of load.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Each connection ends after one request.
    close: bool,
    connections: u32,
    path: &'static str,
    /// Whether it is only looked at in a full run.
    pub(crate) full: bool,
}

impl Kind {
    const fn of(name: &'static str, close: bool, connections: u32) -> Self {
        Self {
            name,
            close,
            connections,
            path: web::SMALL,
            full: true,
        }
    }
}

/// How a client reaches the server.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) target: SocketAddr,
    /// The process that looks at its requests, where that is looked at in turn.
    pub(crate) worker: Option<u32>,
}

impl Way {
    /// Seconds of processor time that its process has had.
    fn used(&self) -> Result<Option<f64>> {
        self.worker.map(churn::cpu).transpose()
    }
}

/// What the rounds of one kind of load said, by the name of the way.
pub(crate) struct Compared {
    /// Rates as ratios to direct.
    pub(crate) ratios: BTreeMap<&'static str, Vec<f64>>,
    /// Seconds of processor time of a process for each request.
    costs: BTreeMap<&'static str, Vec<f64>>,
}

pub(crate) const KINDS: [Kind; 7] = [
    Kind {
        full: false,
        ..Kind::of("keepalive", false, 32)
    },
    Kind {
        full: false,
        ..Kind::of("close", true, 32)
    },
    Kind::of("keepalive_1", false, 1),
    Kind::of("close_1", true, 1),
    Kind::of("keepalive_256", false, 256),
    Kind::of("close_256", true, 256),
    Kind {
        path: web::LARGE,
        ..Kind::of("megabyte", false, 32)
    },
];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let name = Lab::fresh_name("bench-l7");
    let server = |number: u8| {
        let address = IpAddr::from([10, 10, 0, 30 + number]);
        HostSpec::pod(&format!("v{number}"), [address])
    };
    let clients = (1..)
        .zip(CLIENTS)
        .map(|(number, name)| HostSpec::pod(name, [IpAddr::from([10, 10, 1, number])]));
    let lab = Lab::builder(&name)
        .hosts([server(1), server(2)])
        .hosts(clients)
        .build()?;
    let (first, second) = serve(&lab)?;
    let agent = lab.agent_with(&["--proxy-threads", "1"])?;
    let targets = targets(second);
    await_hand_over(&lab, targets[HEADER])?;
    let listener = Listener::Cohorts {
        port: PROXY,
        header: COHORT,
        to: second,
        rest: first,
    };
    let envoy = Envoy::start(lab.pod("envoy")?, &[listener]);
    if let Err(reason) = &envoy {
        say(&format!("no Envoy: {reason:#}"));
    }
    let other = haproxy::start(lab.pod(HAPROXY)?, PROXY, COHORT, second, first);
    if let Err(reason) = &other {
        say(&format!("no HAProxy: {reason:#}"));
    }
    let worker = |name| match name {
        HEADER => Some(agent.pid()),
        ENVOY => envoy.as_ref().ok().map(Envoy::pid),
        _ => None,
    };
    let ways: Vec<Way> = CLIENTS
        .into_iter()
        .filter(|name| *name != ENVOY || envoy.is_ok())
        .filter(|name| *name != HAPROXY || other.is_ok())
        .map(|name| Way {
            name,
            target: targets[name],
            worker: worker(name),
        })
        .collect();
    let rounds = if full { 12 } else { 5 };
    for kind in KINDS.iter().filter(|kind| full || !kind.full) {
        let compared = compare(&lab, &ways, kind, rounds)?;
        tell(report, kind.name, &compared);
        tap::tell(report, kind.name, &compared.ratios);
    }
    tap::shares(&lab, &targets, report)?;
    report.figure(
        "l7.agent_rss_mb",
        crate::agent::memory(&agent, crate::agent::NOW)?,
    );
    finish(agent, envoy)
}

fn finish(agent: Agent, envoy: Result<Envoy>) -> Result<()> {
    if let Ok(envoy) = envoy {
        envoy.stop()?;
    }
    agent.stop()?;
    Ok(())
}

/// The ratios of one kind of load.
fn tell(report: &mut Report, kind: &str, compared: &Compared) {
    let Compared { ratios, costs } = compared;
    let median = |name: &str| ratios.get(name).map(|found| quartiles(found)[1]);
    let direct = median(HEADER).unwrap_or_default();
    report.figure(&format!("l7.header_ratio_to_direct.{kind}"), direct);
    let name = format!("l7.header_ratio_to_envoy.{kind}");
    match ratio(ratios, HEADER, ENVOY) {
        Some(ratio) => report.at_least(&name, ratio, 1.5),
        None => report.unavailable(&name, "there is no Envoy"),
    }
    let name = format!("l7.header_per_processor_ratio_to_envoy.{kind}");
    match ratio(costs, ENVOY, HEADER) {
        Some(ratio) => report.figure(&name, ratio),
        None => report.unavailable(&name, "there is no Envoy"),
    }
    let name = format!("l7.header_ratio_to_haproxy.{kind}");
    match ratio(ratios, HEADER, HAPROXY) {
        Some(ratio) => report.figure(&name, ratio),
        None => report.unavailable(&name, "there is no HAProxy"),
    }
}

/// The median of one's figures as a ratio to another's, round by round.
fn ratio(figures: &BTreeMap<&str, Vec<f64>>, one: &str, other: &str) -> Option<f64> {
    let pairs = figures.get(one)?.iter().zip(figures.get(other)?);
    let each: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
    Some(quartiles(&each)[1])
}

/// Starts the servers of both versions. The first one gets nothing but copies under load, and stands for a
/// pod of another node.
pub(crate) fn serve(lab: &Lab) -> Result<(SocketAddr, SocketAddr)> {
    let (first, second) = (lab.pod(tap::COPIED)?, lab.pod("v2")?);
    web::serve_elsewhere(first, PORT)?;
    web::serve(second, PORT)?;
    let servers = (
        SocketAddr::new(first.v4()?, PORT),
        SocketAddr::new(second.v4()?, PORT),
    );
    lab.configure("cluster.yaml", &configuration(servers.0, servers.1))?;
    Ok(servers)
}

pub(crate) fn targets(second: SocketAddr) -> BTreeMap<&'static str, SocketAddr> {
    let service = |last: u8| SocketAddr::from(([10, 200, 0, last], 80));
    BTreeMap::from([
        (DIRECT, second),
        (AGAIN, second),
        (HEADER, service(1)),
        (MIRROR, service(2)),
        (ENVOY, SocketAddr::from(([127, 0, 0, 1], PROXY))),
        (HAPROXY, SocketAddr::from(([127, 0, 0, 1], PROXY))),
    ])
}

/// Two services of the same pods: one whose requests take a version by a header, one that is mirrored.
pub(crate) fn configuration(first: SocketAddr, second: SocketAddr) -> String {
    let mut text = String::new();
    for (number, at) in [(1, first), (2, second)] {
        let ip = at.ip();
        text += &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: v{number}, namespace: bench, labels: {{app: web, version: v{number}}}}}\n\
             spec: {{nodeName: node-1, containers: [{{name: web, image: web}}]}}\n\
             status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}\n---\n"
        );
    }
    for (number, name) in (1..).zip(CLIENTS) {
        text += &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: bench}}\n\
             spec: {{nodeName: node-1, containers: [{{name: main, image: main}}]}}\n\
             status: {{phase: Running, podIP: 10.10.1.{number}, podIPs: [{{ip: 10.10.1.{number}}}]}}\n---\n"
        );
    }
    let (key, value) = COHORT;
    let rules = [
        format!(
            "  - match: [{{headers: {{{key}: {{exact: {value}}}}}}}]\n    route: [{{destination: {{host: WEB, subset: v2}}}}]\n  \
             - route: [{{destination: {{host: WEB, subset: v1}}}}]\n"
        ),
        "  - route: [{destination: {host: WEB, subset: v2}}]\n    mirror: {host: WEB, subset: v1}\n".to_owned(),
    ];
    for (number, rules) in (1..).zip(rules) {
        let web = format!("web{number}");
        text += &format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {web}, namespace: bench}}\n\
             spec: {{clusterIP: 10.200.0.{number}, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: {PORT}}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {web}, namespace: bench}}\n\
             spec: {{host: {web}, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {web}, namespace: bench}}\n\
             spec:\n  hosts: [{web}]\n  http:\n{}---\n",
            rules.replace("WEB", &web)
        );
    }
    text
}

/// Until the header match is seen to work: its answer comes through the agent.
pub(crate) fn await_hand_over(lab: &Lab, service: SocketAddr) -> Result<()> {
    let pod = lab.pod(HEADER)?;
    let begun = Instant::now();
    loop {
        let pins = steer::kernel::Pins::new(lab.dirs().pins());
        let handed = |name: &str| -> Result<u64> {
            let live = steer::kernel::Maps::open(&pins)?.read()?;
            let found = live
                .reasons
                .iter()
                .find(|(reason, _)| reason.name() == name);
            Ok(found.map_or(0, |(_, &count)| count))
        };
        let before = handed("handed_over")?;
        let url = format!("http://{service}/");
        pod.run("curl", &["-sS", "--max-time", "2", "-o", "/dev/null", &url])?;
        if handed("handed_over")? > before {
            return Ok(());
        }
        ensure!(begun.elapsed() < BEGUN_MAX, "requests are not looked at");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Loads the ways in turn; the rates as ratios to direct, by client.
pub(crate) fn compare(lab: &Lab, ways: &[Way], kind: &Kind, rounds: usize) -> Result<Compared> {
    let header = format!("{}: {}", COHORT.0, COHORT.1);
    let mut ratios: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut costs: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        let mut rates = BTreeMap::new();
        for at in 0..ways.len() {
            let way = &ways[(round + zigzag(at, ways.len())) % ways.len()];
            let load = Load {
                target: way.target,
                path: kind.path,
                connections: kind.connections,
                secs: SECS,
                close: kind.close,
                headers: &[&header],
            };
            let pod: &Pod = lab.pod(way.name)?;
            let before = way.used()?;
            let rate = load.run(pod)?;
            if let (Some(before), Some(after)) = (before, way.used()?) {
                let each = (after - before) / (rate * f64::from(SECS));
                costs.entry(way.name).or_default().push(each);
            }
            rates.insert(way.name, rate);
            if way.name == MIRROR {
                tap::settle(lab)?;
            }
        }
        let direct = rates.get(DIRECT).context("a direct way")?;
        let again = rates.get(AGAIN).context("a second direct way")?;
        let reference = f64::midpoint(*direct, *again);
        for (&name, rate) in &rates {
            ratios.entry(name).or_default().push(rate / reference);
        }
    }
    say(&format!(
        "{}: requests a second as a ratio to direct, medians of {rounds} rounds of 1 s in turn (and quartiles)",
        kind.name
    ));
    for way in ways {
        let name = way.name;
        let [low, middle, high] = quartiles(&ratios[name]);
        let cost = costs.get(name).map(|each| quartiles(each)[1] * 1e6);
        let cost = cost.map_or_else(String::new, |cost| {
            format!("; {cost:.1} us of processor time in its process for each")
        });
        say(&format!(
            "  {name:<14} {middle:.3} ({low:.3} .. {high:.3}){cost}"
        ));
    }
    Ok(Compared { ratios, costs })
}
