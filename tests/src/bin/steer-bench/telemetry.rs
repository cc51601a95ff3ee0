//! What it costs to count: connections and requests a second with agents that count and agents that do not, in
//! turn, in one lab; what the dashboard costs; and how long a scrape takes after traffic to 1,000 services.

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
use steer_tests::lab::{HostSpec, Lab};

use crate::{
    churn, l7,
    report::{Report, median, quartiles, ratio, say},
    web::{self, Load},
};

/// Where metrics are asked for.
const METRICS: &str = "127.0.0.1:15020";
/// An agent that counts.
const COUNTS: [&str; 2] = ["--metrics", METRICS];
/// Where the dashboard is.
const PAGE: &str = "127.0.0.1:15090";
/// The service that is steered when it connects.
const PLAIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 200, 0, 3)), 80);
/// How long an agent has for what it does once, at its start.
const STARTED: Duration = Duration::from_millis(500);
/// Services that a scrape tells of.
const SERVICES: u32 = 1_000;
/// How long until all of them are told of.
const TOLD_MAX: Duration = Duration::from_secs(10);

/// What is loaded.
const KINDS: [&str; 2] = ["connections", "requests"];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let rounds = if full { 80 } else { 6 };
    let (lab, header) = raise()?;
    let mut off = vec![rates(&lab, header, &[])?];
    let mut on = Vec::new();
    for _ in 0..rounds {
        on.push(rates(&lab, header, &COUNTS)?);
        off.push(rates(&lab, header, &[])?);
    }
    let mut worst = f64::INFINITY;
    for (number, kind) in KINDS.into_iter().enumerate() {
        let off: Vec<f64> = off.iter().map(|rates| rates[number]).collect();
        let on: Vec<f64> = on.iter().map(|rates| rates[number]).collect();
        let ratio = compare(kind, &off, &on);
        report.figure(&format!("telemetry.{kind}_on_off_ratio"), ratio);
        worst = worst.min(ratio);
    }
    report.at_least("telemetry.on_off_ratio", worst, 0.98);
    let agent = lab.agent_with(&COUNTS)?;
    page(&lab, report)?;
    agent.stop()?;
    drop(lab);
    scrapes(if full { 100 } else { 20 }, report)
}

/// A lab: two servers, a client. Where requests are looked at.
fn raise() -> Result<(Lab, SocketAddr)> {
    let server = |number: u8| {
        let address = IpAddr::from([10, 10, 0, 30 + number]);
        HostSpec::pod(&format!("v{number}"), [address])
    };
    let client = HostSpec::pod(l7::HEADER, [IpAddr::from([10, 10, 1, 3])]);
    let lab = Lab::builder(&Lab::fresh_name("bench-telemetry"))
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
    Ok((lab, l7::targets(servers[1])[l7::HEADER]))
}

/// Connections and requests a second, with an agent of its own.
fn rates(lab: &Lab, header: SocketAddr, arguments: &[&str]) -> Result<[f64; KINDS.len()]> {
    let agent = lab.agent_with(arguments)?;
    l7::await_hand_over(lab, header)?;
    thread::sleep(STARTED);
    let rate = |target, close| {
        let load = Load {
            target,
            connections: 32,
            path: "/",
            secs: 1,
            close,
            headers: &[],
        };
        load.run(lab.pod(l7::HEADER)?)
    };
    let rates = [rate(PLAIN, true)?, rate(header, false)?];
    if !arguments.is_empty() {
        // What has closed is read ten times a second.
        thread::sleep(Duration::from_millis(300));
        ensure!(counted(lab)? > 0, "nothing was counted");
    }
    agent.stop()?;
    Ok(rates)
}

/// On to off, each beside those before and after it.
fn compare(kind: &str, off: &[f64], on: &[f64]) -> f64 {
    let beside: Vec<f64> = off
        .windows(2)
        .map(|pair| f64::midpoint(pair[0], pair[1]))
        .collect();
    let (found, error) = ratio(on, &beside);
    let same: Vec<f64> = off.windows(2).map(|pair| pair[1] / pair[0]).collect();
    let [low, _, high] = quartiles(&same);
    say(&format!(
        "{kind} a second with metrics, as a ratio to without: {found:.3}, standard error {error:.3}, of {} rounds of 1 s \
         each in turn (without, from one to the next: quartiles {low:.3} .. {high:.3})",
        on.len()
    ));
    found
}

/// What the dashboard costs while nobody looks, and while a browser asks as its page does.
fn page(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut dashboard = lab.steer("dashboard")?;
    let mut dashboard = dashboard
        .args(["--listen", PAGE, "--agent", &format!("http://{METRICS}")])
        .stdout(Stdio::null())
        .spawn()?;
    let measured = costs(lab, dashboard.id());
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
fn costs(lab: &Lab, pid: u32) -> Result<[f64; 2]> {
    let secs = 5;
    let of = |looks: bool| -> Result<f64> {
        let before = churn::cpu(pid)?;
        for _ in 0..secs {
            if looks {
                let answer = get(lab, PAGE, "/live.json")?;
                ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok((churn::cpu(pid)? - before) / f64::from(secs))
    };
    let started = Instant::now();
    while get(lab, PAGE, "/").is_err() {
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
