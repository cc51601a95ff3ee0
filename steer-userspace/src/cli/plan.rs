//! `steer plan`: the whole pipeline but its last step.

use std::collections::BTreeMap;

use serde::Serialize;
use steer_common::addr::Peer;

use super::{
    Exit,
    args::{Format, Instance, Plan},
    check,
    get::rule_text,
    output,
};
use crate::{
    control::read_names,
    desired::{lower, model::PodRef},
    finding::Severity,
    image::{self, Image},
    kernel::Maps,
    plan::{Capacity, Layout, Step},
    source::files::Reader,
};

#[derive(Serialize)]
struct Planned {
    maps: BTreeMap<&'static str, usize>,
    steps: BTreeMap<&'static str, usize>,
    routes: Vec<Route>,
    findings: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct Route {
    address: String,
    transport: String,
    class: String,
    service: String,
    rule: String,
    depth: &'static str,
    destinations: Vec<Destination>,
}

#[derive(Serialize)]
struct Destination {
    cluster: String,
    weight: u32,
    endpoints: Vec<String>,
}

/// Plans files.
pub(super) fn run(args: Plan, instance: &Instance) -> anyhow::Result<Exit> {
    let mut reader = Reader::new(args.files.clone());
    let snapshot = match reader.read() {
        Ok(snapshot) => snapshot.unwrap_or_default(),
        Err(findings) => {
            let values = findings
                .iter()
                .map(serde_json::to_value)
                .collect::<Result<Vec<_>, _>>()?;
            output::write(
                &values
                    .iter()
                    .map(|found| check::line(found, true))
                    .collect::<String>(),
            )?;
            return Ok(Exit::Findings);
        }
    };
    let clients = args
        .clients
        .iter()
        .map(|name| client(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let desired = lower(
        &snapshot,
        &args.naming.clone().into(),
        &clients.iter().cloned().collect(),
    );
    let namespaces: BTreeMap<u64, PodRef> = (1..).zip(clients).collect();
    let image = image::compile(&desired, &namespaces);
    let mut layout = layout(&args, instance, &image)?;
    let plan = layout.plan(&image)?;
    let mut findings = snapshot.findings.clone();
    findings.extend(desired.findings);
    findings.sort();
    let is_error = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let planned = Planned {
        maps: fill(&image),
        steps: steps(&plan.steps),
        routes: routes(&image, &desired.class_names),
        findings: findings
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()?,
    };
    match args.output.output {
        Format::Json | Format::Yaml => output::document(&planned, args.output.output)?,
        Format::Table | Format::Wide => output::write(&text(&planned, args.live))?,
    }
    Ok(if is_error { Exit::Findings } else { Exit::Done })
}

fn client(name: &str) -> anyhow::Result<PodRef> {
    let Some((namespace, name)) = name.split_once('/') else {
        anyhow::bail!("{name:?} is not NAMESPACE/NAME of a pod");
    };
    Ok(PodRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// What is live, or nothing, in maps that are large enough.
fn layout(args: &Plan, instance: &Instance, image: &Image) -> anyhow::Result<Layout> {
    let services = u32::try_from(image.routes.len()).unwrap_or(u32::MAX);
    if !args.live {
        let endpoints: usize = image
            .routes
            .values()
            .flat_map(|route| route.destinations.iter().map(|found| found.endpoints.len()))
            .sum();
        let wanted = services
            .max(u32::try_from(endpoints).unwrap_or(u32::MAX))
            .max(1);
        return Ok(Layout::new(Capacity::for_services(wanted)));
    }
    let maps = Maps::open(&instance.pins())?;
    let names = read_names(&instance.state)?;
    Ok(Layout::adopt(maps.capacity(), &maps.read()?, &names))
}

/// How many rows of each map the image needs.
fn fill(image: &Image) -> BTreeMap<&'static str, usize> {
    let destinations = || image.routes.values().flat_map(|route| &route.destinations);
    let mut pools: Vec<_> = destinations().map(|found| &found.endpoints).collect();
    pools.sort();
    pools.dedup();
    BTreeMap::from([
        ("SERVICES", image.routes.len()),
        ("ROUTES", image.routes.len()),
        ("TICKETS", image.routes.len()),
        ("ENDPOINTS", pools.iter().map(|pool| pool.len()).sum()),
        ("COUNTERS", destinations().count()),
        ("SOURCES", image.sources.len()),
    ])
}

fn steps(steps: &[Step]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for step in steps {
        let (name, count) = match step {
            Step::Endpoints { rows, .. } => ("write endpoints", rows.len()),
            Step::StartTickets { .. } => ("start splits", 1),
            Step::StartCounters { count, .. } => ("start counters", *count as usize),
            Step::Route { .. } => ("write routes", 1),
            Step::AddMember { .. } => ("add affinity members", 1),
            Step::Publish { replaces: None, .. } => ("publish new services", 1),
            Step::Publish { .. } => ("publish changed services", 1),
            Step::SetSource { .. } => ("set clients", 1),
            Step::RemoveSource { .. } => ("remove clients", 1),
            Step::Unpublish { .. } => ("remove services", 1),
            Step::RemoveMember { .. } => ("remove affinity members", 1),
        };
        *counts.entry(name).or_default() += count;
    }
    counts
}

fn routes(image: &Image, classes: &BTreeMap<u32, String>) -> Vec<Route> {
    image
        .routes
        .iter()
        .map(|(key, route)| Route {
            address: Peer::new(key.addr, key.port).to_string(),
            transport: steer_common::Proto::from_number(u32::from(key.proto))
                .map_or("?", steer_common::Proto::name)
                .to_owned(),
            class: classes
                .get(&key.class)
                .cloned()
                .unwrap_or_else(|| "*".to_owned()),
            service: route.service.host.clone(),
            rule: rule_text(&route.rule),
            depth: if route.hidden {
                "not visible"
            } else {
                route.depth.name()
            },
            destinations: route
                .destinations
                .iter()
                .map(|found| Destination {
                    cluster: found.name.cluster(),
                    weight: found.name.weight,
                    endpoints: found
                        .endpoints
                        .iter()
                        .map(|one| {
                            Peer::from(std::net::SocketAddr::new(one.ip, one.port)).to_string()
                        })
                        .collect(),
                })
                .collect(),
        })
        .collect()
}

fn text(planned: &Planned, live: bool) -> String {
    let mut text = String::from("MAPS (rows in use)\n");
    for (name, rows) in &planned.maps {
        text.push_str(&format!("  {name:<10} {rows}\n"));
    }
    text.push_str(if live {
        "CHANGES to the live node\n"
    } else {
        "STEPS from empty maps\n"
    });
    if planned.steps.is_empty() {
        text.push_str("  none: the kernel holds just this\n");
    }
    for (name, count) in &planned.steps {
        text.push_str(&format!("  {name} {count}\n"));
    }
    text.push_str("ROUTES\n");
    for route in &planned.routes {
        text.push_str(&format!(
            "  {}/{} {} clients={} rule={} depth={}\n",
            route.address, route.transport, route.service, route.class, route.rule, route.depth
        ));
        for found in &route.destinations {
            let endpoints = found.endpoints.join(" ");
            text.push_str(&format!(
                "    {} weight {} -> {endpoints}\n",
                found.cluster, found.weight
            ));
        }
    }
    text.push_str("FINDINGS\n");
    if planned.findings.is_empty() {
        text.push_str("  none\n");
    }
    for finding in &planned.findings {
        text.push_str(&format!("  {}", check::line(finding, true)));
    }
    text
}
