//! How fast a configuration is in the kernel: 10,000 services with 100,000 endpoints from parsed
//! to in force, one weight change, and a file that is saved under a running agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use steer::{
    desired::{Lowering, Settings},
    image::Compiler,
    kernel::{Maps, Pins},
    source::{Snapshot, files::parse_text},
};
use steer_common::{Addr, Port, Proto, service::ServiceKey};
use steer_tests::lab::Lab;

use crate::{
    figures::{Figures, median, say},
    images,
};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;

pub(crate) fn run(full: bool, figures: &mut Figures) -> Result<()> {
    let cluster = cluster();
    let cold = cold(&cluster)?;
    let (mut times, rss_mb) = saved(&cluster, if full { 200 } else { 30 })?;
    figures.at_most("apply.cold_ms", cold, 300.0);
    figures.at_most("apply.file_to_kernel_ms_p50", median(&mut times), 10.0);
    figures.add("apply.agent_rss_mb", rss_mb);
    Ok(())
}

/// The YAML of 10,000 services: half of their pods are version v1, half v2.
fn cluster() -> String {
    let mut text = String::new();
    for number in 0..SERVICES {
        let address = images::address(number);
        // Writing to a String cannot fail.
        let _written = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: shop}}\n\
             spec:\n  clusterIP: {address}\n  selector: {{app: s{number}}}\n  \
             ports: [{{name: http, port: 80, targetPort: 8080}}]\n\
             ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata:\n  name: s{number}\n  namespace: shop\n  \
             labels: {{kubernetes.io/service-name: s{number}}}\n\
             addressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints:\n"
        );
        for one in 0..ENDPOINTS {
            let ip = std::net::Ipv4Addr::from(0x6440_0000 + number * ENDPOINTS + one);
            let _written = writeln!(text, "- addresses: [{ip}]\n  conditions: {{ready: true}}");
        }
    }
    text
}

fn rule(weight: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: s7, namespace: shop}}\n\
         spec:\n  hosts: [s7]\n  http:\n  - route:\n    - destination: {{host: s7}}\n      weight: {weight}\n    \
         - destination: {{host: s8}}\n      weight: {}\n",
        1000 - weight
    )
}

fn snapshot(texts: &[&str]) -> Result<Snapshot> {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for text in texts {
        match parse_text("cluster.yaml", text) {
            Ok((more, found)) => {
                objects.extend(more);
                findings.extend(found);
            }
            Err(findings) => bail!("{findings:?}"),
        }
    }
    Ok(Snapshot::from_objects(objects, findings))
}

/// Milliseconds from parsed to in the kernel.
fn cold(cluster: &str) -> Result<f64> {
    let started = Instant::now();
    let first = rule(900);
    let parsed = snapshot(&[cluster, &first])?;
    ensure!(
        parsed.services.len() == SERVICES as usize,
        "not all services were parsed"
    );
    say(&format!(
        "parsing {SERVICES} services and {} endpoints: {:.0} ms",
        SERVICES * ENDPOINTS,
        ms(started.elapsed())
    ));
    let lab = Lab::builder(&Lab::fresh_name("bench-apply")).build()?;
    let mut best = f64::MAX;
    for _ in 0..3 {
        let mut engine = images::engine(&lab, lab.dirs().cluster_cgroup().path(), 100_000)?;
        let mut lowering = Lowering::new(Settings::default());
        let mut compiler = Compiler::default();
        let started = Instant::now();
        let desired = lowering.lower(&parsed, &BTreeSet::new());
        let lowered = started.elapsed();
        let image = compiler.compile(&desired, &BTreeMap::new());
        let compiled = started.elapsed();
        let applied = engine.apply(image)?;
        let all = started.elapsed();
        say(&format!(
            "  cold: lowered {:.0} ms, compiled {:.0} ms, planned and in the kernel {:.0} ms ({} writes): {:.0} ms",
            ms(lowered),
            ms(compiled.saturating_sub(lowered)),
            ms(applied.took),
            applied.steps,
            ms(all)
        ));
        best = best.min(ms(all));
        warm(&mut lowering, &mut compiler, &mut engine, &parsed)?;
        drop(engine);
        Pins::new(lab.dirs().pins()).remove()?;
    }
    Ok(best)
}

/// One weight changes.
fn warm(
    lowering: &mut Lowering,
    compiler: &mut Compiler,
    engine: &mut steer::control::Engine,
    parsed: &Snapshot,
) -> Result<()> {
    let (objects, _) =
        parse_text("rule.yaml", &rule(899)).map_err(|found| anyhow::anyhow!("{found:?}"))?;
    let fresh = Snapshot::from_objects(objects, Vec::new());
    let mut changed = parsed.clone();
    changed.virtual_services = fresh.virtual_services;
    let started = Instant::now();
    let desired = lowering.lower(&changed, &BTreeSet::new());
    let lowered = started.elapsed();
    let image = compiler.compile(&desired, &BTreeMap::new());
    let compiled = started.elapsed();
    let applied = engine.apply(image)?;
    ensure!(
        applied.services_changed == 1,
        "{} services changed",
        applied.services_changed
    );
    say(&format!(
        "  one weight: lowered {:.1} ms, compiled {:.1} ms, planned and in the kernel {:.1} ms: {:.1} ms",
        ms(lowered),
        ms(compiled.saturating_sub(lowered)),
        ms(applied.took),
        ms(started.elapsed())
    ));
    Ok(())
}

/// Milliseconds from the end of a write to the row in the kernel, under a running agent, and the
/// agent's memory in MB.
fn saved(cluster: &str, count: u32) -> Result<(Vec<f64>, f64)> {
    let lab = Lab::builder(&Lab::fresh_name("bench-saved")).build()?;
    lab.configure("cluster.yaml", cluster)?;
    lab.configure("rule.yaml", &rule(900))?;
    let agent = lab.agent()?;
    let maps = Maps::open(&Pins::new(lab.dirs().pins()))?;
    let key = ServiceKey::new(0, Addr::from(images::address(7)), Port::new(80), Proto::Tcp);
    let generation = || -> Result<u32> {
        Ok(maps
            .route(&key)?
            .context("the service is not in the kernel")?
            .generation)
    };
    let mut times = Vec::new();
    for n in 0..count {
        let before = generation()?;
        lab.configure("rule.yaml", &rule(899 - n))?;
        let started = Instant::now();
        while generation()? == before {
            ensure!(
                started.elapsed() < Duration::from_secs(5),
                "the change does not arrive"
            );
            std::thread::sleep(Duration::from_micros(50));
        }
        times.push(ms(started.elapsed()));
        std::thread::sleep(Duration::from_millis(120));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let rss_mb = rss.context("VmRSS")?.trim().parse::<f64>()? / 1024.0;
    let worst = times.iter().copied().fold(0.0, f64::max);
    say(&format!(
        "a file is saved under the agent with {SERVICES} services ({count} times): median {:.1} ms, worst {worst:.1} ms; the agent takes {rss_mb:.0} MB",
        median(&mut times.clone())
    ));
    agent.stop()?;
    Ok((times, rss_mb))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
