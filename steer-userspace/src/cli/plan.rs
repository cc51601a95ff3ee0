//! `steer plan`: the whole pipeline but its last step.

use std::collections::BTreeMap;

use serde_json::Value;
use steer_common::{
    ServiceKey,
    service::{CLASS_OUTSIDE, ClassId},
};

use super::{
    Exit,
    args::{Instance, Plan},
    check, output,
};
use crate::{
    control::read_names,
    desired::{lower, model::PodRef},
    finding::Severity,
    image::{self, Image, canary},
    kernel::Maps,
    live::Live,
    plan::{Capacity, Layout, Names, Step},
    requests::listed,
    source::{Snapshot, files::Reader},
};

mod told;

pub(super) use told::text;
use told::{Content, Planned, changes, route};

/// What is in the kernel.
pub(super) struct Node {
    pub(super) capacity: Capacity,
    pub(super) live: Live,
    pub(super) names: Names,
    /// What its classes stand for.
    pub(super) classes: BTreeMap<ClassId, String>,
}

/// Plans files.
pub(super) fn run(args: &Plan, instance: &Instance) -> anyhow::Result<Exit> {
    check::readable(&args.files)?;
    let node = if args.live {
        Some(node(instance)?)
    } else {
        None
    };
    let planned = match Reader::new(args.files.clone()).read() {
        Ok(snapshot) => plan(args, &snapshot.unwrap_or_default(), node.as_ref())?,
        Err(mut findings) => {
            findings.sort();
            findings.dedup();
            refused(check::values(&findings)?)
        }
    };
    output::write(&output::answer(
        &planned,
        args.output.output,
        |planned, _| text(planned),
    )?)?;
    Ok(
        if check::worst(&planned.findings) >= Some(Severity::Error) {
            Exit::Findings
        } else {
            Exit::Done
        },
    )
}

fn refused(findings: Vec<Value>) -> Planned {
    Planned {
        findings,
        content: None,
    }
}

fn node(instance: &Instance) -> anyhow::Result<Node> {
    let maps = Maps::open(&instance.pins())?;
    let status = instance.status()?.unwrap_or_default();
    Ok(Node {
        capacity: maps.capacity(),
        live: without_outside(maps.read()?),
        names: read_names(&instance.state)?,
        classes: serde_json::from_value(status["classes"].clone()).unwrap_or_default(),
    })
}

/// Ports of the node that the kernel steers depend on its addresses and on where pods run, which files do
/// not say: they are left out of the comparison.
fn without_outside(mut live: Live) -> Live {
    live.services.retain(|key, _| key.class != CLASS_OUTSIDE);
    live
}

/// Runs the pipeline.
pub(super) fn plan(
    args: &Plan,
    snapshot: &Snapshot,
    node: Option<&Node>,
) -> anyhow::Result<Planned> {
    let clients = clients(args, node)?;
    let local = clients.values().cloned().collect();
    let mut compiler = image::Compiler::default();
    let desired = lower(snapshot, &args.naming.clone().into(), &local);
    let image = compiler.compile_on(
        &desired,
        &image::Node {
            pods: clients,
            // The agent's own, and no change.
            canary: node.is_some_and(|node| node.live.services.contains_key(&canary::key())),
            ..image::Node::default()
        },
    );
    let mut layout = match node {
        Some(node) => Layout::adopt(node.capacity, &node.live, &node.names),
        None => Layout::new(large_enough(image)),
    };
    let before = layout.placed().clone();
    let mut findings = snapshot.findings.clone();
    findings.extend(desired.findings);
    findings.sort();
    let mut findings = check::values(&findings)?;
    let plan = match layout.plan(image) {
        Ok(plan) => plan,
        Err(error) => {
            findings.push(serde_json::json!({
                "severity": "error",
                "code": "STR0701",
                "message": error.to_string(),
            }));
            return Ok(refused(findings));
        }
    };
    let names = |classes: &BTreeMap<ClassId, String>, class: ClassId| {
        let name = classes.get(&class).cloned();
        name.unwrap_or_else(|| "*".to_owned())
    };
    let wanted = |key: &ServiceKey| names(&desired.class_names, key.class);
    let known = node.map(|node| &node.classes).cloned().unwrap_or_default();
    let routes = image.routes.iter();
    let routes = routes.filter(|(_, route)| !canary::is(&route.service));
    Ok(Planned {
        findings,
        content: Some(Content {
            maps: fill(image, &layout),
            changes: changes(&before, image, |key| names(&known, key.class), wanted),
            writes: writes(&plan.steps),
            routes: routes
                .map(|(key, found)| route(key, found, wanted(key)))
                .collect(),
            gateways: listed(&desired.listeners),
            live: node.is_some(),
        }),
    })
}

/// The pods of the node, by the cookies of their namespaces: those that were named; else those that
/// the kernel knows.
fn clients(args: &Plan, node: Option<&Node>) -> anyhow::Result<BTreeMap<u64, PodRef>> {
    if let Some(node) = node.filter(|_| args.clients.is_empty()) {
        let known = node.live.sources.iter().filter_map(|(&cookie, source)| {
            let pod = node.names.workloads.get(&source.workload)?;
            Some((cookie, (**pod).clone()))
        });
        return Ok(known.collect());
    }
    let named = args.clients.iter().map(|name| client(name));
    Ok((1..)
        .zip(named.collect::<anyhow::Result<Vec<_>>>()?)
        .collect())
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

/// Maps that hold the image: how large those of an agent are is not known here.
fn large_enough(image: &Image) -> Capacity {
    let endpoints: usize = image
        .routes
        .values()
        .flat_map(|route| route.destinations.iter().map(|found| found.endpoints.len()))
        .sum();
    let wanted = image.routes.len().max(endpoints).max(1);
    Capacity::for_services(u32::try_from(wanted).unwrap_or(u32::MAX))
}

/// How many rows of each map the image needs, once it is in force.
fn fill(image: &Image, layout: &Layout) -> BTreeMap<&'static str, usize> {
    let destinations = || image.routes.values().flat_map(|route| &route.destinations);
    let mut pools: Vec<_> = destinations().map(|found| &found.endpoints).collect();
    pools.sort();
    pools.dedup();
    let placed = layout.placed().values();
    BTreeMap::from([
        ("SERVICES", image.routes.len()),
        ("ROUTES", image.routes.len()),
        ("TICKETS", image.routes.len()),
        ("ENDPOINTS", pools.iter().map(|pool| pool.len()).sum()),
        ("COUNTERS", destinations().count()),
        ("SOURCES", image.sources.len()),
        ("MEMBERS", placed.map(|route| route.members.len()).sum()),
    ])
}

fn writes(steps: &[Step]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for step in steps {
        let count = match step {
            Step::Endpoints { rows, .. } => rows.len(),
            Step::StartCounters { count, .. } => *count as usize,
            _ => 1,
        };
        *counts.entry(step.map()).or_default() += count;
    }
    counts
}
