//! What it costs to count: connections and requests a second with metrics on against off, in two labs that
//! are the same but for that, in turn; and how long a scrape takes after traffic to 1,000 services.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use steer_tests::{
    agent::Agent,
    lab::{HostSpec, Lab},
};

use crate::{
    churn, l7,
    report::{Report, median, quartiles, say},
    web::{self, Load},
};

/// Where metrics are asked for.
const METRICS: &str = "127.0.0.1:15020";
/// Where the dashboard is.
const PAGE: &str = "127.0.0.1:15090";
/// The service that is steered when it connects.
const PLAIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 200, 0, 3)), 80);
/// Services that a scrape tells of.
const SERVICES: u32 = 1_000;
/// How long until all of them are told of.
const TOLD_MAX: Duration = Duration::from_secs(10);

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let rounds = if full { 60 } else { 8 };
    let off = Side::raise("off", &[])?;
    let on = Side::raise("on", &["--metrics", METRICS])?;
    let mut worst = f64::INFINITY;
    for (kind, target, close) in [
        ("connections", PLAIN, true),
        ("requests", l7::targets(PLAIN)[l7::HEADER], false),
    ] {
        let ratio = compare(&off, &on, kind, target, close, rounds)?;
        report.figure(&format!("telemetry.{kind}_on_off_ratio"), ratio);
        worst = worst.min(ratio);
    }
    report.at_least("telemetry.on_off_ratio", worst, 0.98);
    page(&on, report)?;
    ensure!(counted(&on.lab)? > 0, "nothing was counted");
    off.agent.stop()?;
    on.agent.stop()?;
    drop((off.lab, on.lab));
    scrapes(if full { 100 } else { 20 }, report)
}

/// A lab: two servers, a client, an agent.
struct Side {
    // Before the lab: the agent goes first.
    agent: Agent,
    lab: Lab,
}

impl Side {
    fn raise(name: &str, arguments: &[&str]) -> Result<Self> {
        let server = |number: u8| {
            let address = IpAddr::from([10, 10, 0, 30 + number]);
            HostSpec::pod(&format!("v{number}"), [address])
        };
        let client = HostSpec::pod(l7::HEADER, [IpAddr::from([10, 10, 1, 3])]);
        let lab = Lab::builder(&Lab::fresh_name(&format!("bench-{name}")))
            .hosts([server(1), server(2), client])
            .build()?;
        let mut servers = Vec::new();
        for version in ["v1", "v2"] {
            let pod = lab.pod(version)?;
            web::serve(pod, l7::PORT)?;
            servers.push(SocketAddr::new(pod.v4()?, l7::PORT));
        }
        lab.configure("cluster.yaml", &l7::configuration(servers[0], servers[1]))?;
        let plain = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: plain, namespace: bench}}\n\
             spec: {{clusterIP: {}, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: {}}}]}}\n",
            PLAIN.ip(),
            l7::PORT
        );
        lab.configure("plain.yaml", &plain)?;
        let agent = lab.agent_with(arguments)?;
        l7::await_hand_over(&lab, l7::targets(servers[1])[l7::HEADER])?;
        Ok(Self { agent, lab })
    }

    fn rate(&self, target: SocketAddr, close: bool) -> Result<f64> {
        let load = Load {
            target,
            connections: 32,
            path: "/",
            secs: 1,
            close,
            headers: &[],
        };
        load.run(self.lab.pod(l7::HEADER)?)
    }
}

/// The median of on to off. Each is the first in every other round.
fn compare(
    off: &Side,
    on: &Side,
    kind: &str,
    target: SocketAddr,
    close: bool,
    rounds: usize,
) -> Result<f64> {
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let (without, with) = if round % 2 == 0 {
            let without = off.rate(target, close)?;
            (without, on.rate(target, close)?)
        } else {
            let with = on.rate(target, close)?;
            (off.rate(target, close)?, with)
        };
        ratios.push(with / without);
    }
    let [low, middle, high] = quartiles(&ratios);
    say(&format!(
        "{kind} a second with metrics, as a ratio to without: {middle:.3} ({low:.3} .. {high:.3}), \
         median of {rounds} rounds of 1 s each in turn (and quartiles)"
    ));
    Ok(middle)
}

/// What the dashboard costs while nobody looks, and while a browser asks as its page does.
fn page(on: &Side, report: &mut Report) -> Result<()> {
    let mut dashboard = on.lab.steer("dashboard")?;
    let mut dashboard = dashboard
        .args(["--listen", PAGE, "--agent", &format!("http://{METRICS}")])
        .stdout(Stdio::null())
        .spawn()?;
    let measured = costs(on, dashboard.id());
    dashboard.kill()?;
    dashboard.wait()?;
    let [rest, watched] = measured?;
    say(&format!(
        "the dashboard has {:.2} % of a core while nobody looks, {:.2} % while somebody does",
        100.0 * rest,
        100.0 * watched
    ));
    report.at_most("dashboard.idle_cpu_ratio", rest, 0.001);
    report.figure("dashboard.watched_cpu_ratio", watched);
    Ok(())
}

/// Processor time per second, at rest and watched.
fn costs(on: &Side, pid: u32) -> Result<[f64; 2]> {
    let secs = 5;
    let of = |looks: bool| -> Result<f64> {
        let before = churn::cpu(pid)?;
        for _ in 0..secs {
            if looks {
                get(&on.lab, PAGE, "/live.json")?;
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok((churn::cpu(pid)? - before) / f64::from(secs))
    };
    let started = Instant::now();
    while get(&on.lab, PAGE, "/").is_err() {
        ensure!(started.elapsed() < TOLD_MAX, "there is no page");
        thread::sleep(Duration::from_millis(100));
    }
    Ok([of(false)?, of(true)?])
}

/// Series of connections.
fn counted(lab: &Lab) -> Result<usize> {
    let (text, _) = scrape(lab)?;
    let opened = "istio_tcp_connections_opened_total{reporter=\"source\"";
    Ok(text.lines().filter(|line| line.starts_with(opened)).count())
}

/// The text, and how many milliseconds it took.
fn scrape(lab: &Lab) -> Result<(String, f64)> {
    let started = Instant::now();
    let text = get(lab, METRICS, "/metrics")?;
    Ok((text, started.elapsed().as_secs_f64() * 1e3))
}

/// What somebody on the node is answered.
fn get(lab: &Lab, at: &'static str, path: &'static str) -> Result<String> {
    lab.node()?.in_network(move || {
        let mut stream = TcpStream::connect(at)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

/// The address of a service.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0ac9_0000 + number + 1)
}

fn scrapes(count: usize, report: &mut Report) -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("bench-scrape"))
        .host(HostSpec::pod("v1", [IpAddr::from([10, 10, 0, 31])]))
        .host(HostSpec::pod(l7::HEADER, [IpAddr::from([10, 10, 1, 3])]))
        .build()?;
    let server = lab.pod("v1")?;
    web::serve(server, l7::PORT)?;
    let at = SocketAddr::new(server.v4()?, l7::PORT);
    lab.configure(
        "cluster.yaml",
        &l7::configuration(at, at).replace("name: v2,", "name: v0,"),
    )?;
    let (mut services, mut urls) = (String::new(), String::new());
    for number in 0..SERVICES {
        let ip = address(number);
        // Writing to a String cannot fail.
        let _ = writeln!(
            services,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: bench}}\n\
             spec: {{clusterIP: {ip}, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: {}}}]}}",
            l7::PORT
        );
        let _ = writeln!(urls, "url = \"http://{ip}/\"\noutput = \"/dev/null\"");
    }
    lab.configure("services.yaml", &services)?;
    let agent = lab.agent_with(&["--metrics", METRICS])?;
    let client = lab.pod(l7::HEADER)?;
    let path = client.directory().join("urls");
    fs::write(&path, urls)?;
    let path = path.to_str().context("a path is text")?;
    client.run("curl", &["-sS", "--fail", "-K", path])?;
    let started = Instant::now();
    while counted(&lab)? < SERVICES as usize {
        ensure!(
            started.elapsed() < TOLD_MAX,
            "only {} services are told of",
            counted(&lab)?
        );
        thread::sleep(Duration::from_millis(100));
    }
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..count {
        let (text, took) = scrape(&lab)?;
        times.push(took);
        bytes = text.len();
    }
    let [low, middle, high] = quartiles(&times);
    say(&format!(
        "a scrape after connections to {SERVICES} services takes {middle:.1} ms ({low:.1} .. {high:.1}), and is {:.1} MB",
        bytes as f64 / 1e6
    ));
    report.at_most("telemetry.scrape_ms_1000_services", median(&times), 50.0);
    agent.stop()?;
    Ok(())
}
