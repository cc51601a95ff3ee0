//! `steer plan`: the whole pipeline but its last step.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use steer_common::{Proto, ServiceKey, addr::Peer, service::ClassId};

use super::{
    Exit,
    args::{Instance, Plan},
    check,
    get::{field, virtual_service},
    instance::transport,
    output,
    text::Text,
};
use crate::{
    control::read_names,
    desired::{lower, model::PodRef},
    finding::Severity,
    image::{self, Image},
    kernel::Maps,
    live::Live,
    plan::{Capacity, Layout, Names, Placed, Step},
    source::{Snapshot, files::Reader},
};

/// The answer.
#[derive(Serialize)]
pub(super) struct Planned {
    /// What has to be taken together with the rest.
    findings: Vec<Value>,
    /// Nothing else is there if the configuration is refused.
    #[serde(flatten)]
    content: Option<Content>,
}

#[derive(Serialize)]
struct Content {
    /// Map -> rows in use.
    maps: BTreeMap<&'static str, usize>,
    /// Which routes change, against the live node or against empty maps.
    changes: Vec<Change>,
    /// Map -> rows that are written.
    writes: BTreeMap<&'static str, usize>,
    routes: Vec<Route>,
    #[serde(skip)]
    live: bool,
}

/// A route as the image has it.
#[derive(Clone, PartialEq, Eq, Serialize)]
struct Route {
    service: String,
    address: String,
    transport: &'static str,
    client: String,
    virtual_service: Option<String>,
    field: Option<String>,
    depth: &'static str,
    visible: bool,
    destinations: Vec<Destination>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
struct Destination {
    cluster: String,
    weight: u32,
    endpoints: Vec<String>,
}

#[derive(Serialize)]
struct Change {
    what: &'static str,
    service: String,
    address: String,
    transport: &'static str,
    client: String,
    /// Where connections go now.
    from: Option<String>,
    /// Where they would go.
    to: Option<String>,
}

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
        live: maps.read()?,
        names: read_names(&instance.state)?,
        classes: serde_json::from_value(status["classes"].clone()).unwrap_or_default(),
    })
}

/// Runs the pipeline.
pub(super) fn plan(
    args: &Plan,
    snapshot: &Snapshot,
    node: Option<&Node>,
) -> anyhow::Result<Planned> {
    let clients = clients(args, node)?;
    let local = clients.values().cloned().collect();
    let desired = lower(snapshot, &args.naming.clone().into(), &local);
    let image = image::compile(&desired, &clients);
    let mut layout = match node {
        Some(node) => Layout::adopt(node.capacity, &node.live, &node.names),
        None => Layout::new(large_enough(&image)),
    };
    let before = layout.placed().clone();
    let mut findings = snapshot.findings.clone();
    findings.extend(desired.findings);
    findings.sort();
    let mut findings = check::values(&findings)?;
    let plan = match layout.plan(&image) {
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
    Ok(Planned {
        findings,
        content: Some(Content {
            maps: fill(&image, &layout),
            changes: changes(&before, &image, |key| names(&known, key.class), wanted),
            writes: writes(&plan.steps),
            routes: routes
                .map(|(key, found)| route(key, found, wanted(key)))
                .collect(),
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
        let (name, count) = match step {
            Step::Endpoints { rows, .. } => ("ENDPOINTS", rows.len()),
            Step::StartTickets { .. } => ("TICKETS", 1),
            Step::StartCounters { count, .. } => ("COUNTERS", *count as usize),
            Step::Route { .. } => ("ROUTES", 1),
            Step::AddMember { .. } | Step::RemoveMember { .. } => ("MEMBERS", 1),
            Step::Publish { .. } | Step::Unpublish { .. } => ("SERVICES", 1),
            Step::SetSource { .. } | Step::RemoveSource { .. } => ("SOURCES", 1),
        };
        *counts.entry(name).or_default() += count;
    }
    counts
}

/// Which routes appear, change and go.
fn changes(
    before: &BTreeMap<ServiceKey, Placed>,
    image: &Image,
    known: impl Fn(&ServiceKey) -> String,
    wanted: impl Fn(&ServiceKey) -> String,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, found) in &image.routes {
        let old = before.get(key).map(|placed| &placed.route);
        if old.is_some_and(|old| old == found) {
            continue;
        }
        let new = route(key, found, wanted(key));
        let from = old.map(|old| route(key, old, known(key)).leads_to());
        changes.push(Change {
            what: if from.is_some() { "change" } else { "add" },
            to: Some(new.leads_to()),
            from,
            service: new.service,
            address: new.address,
            transport: new.transport,
            client: new.client,
        });
    }
    for (key, placed) in before {
        if !image.routes.contains_key(key) {
            let old = route(key, &placed.route, known(key));
            changes.push(Change {
                what: "remove",
                from: Some(old.leads_to()),
                to: None,
                service: old.service,
                address: old.address,
                transport: old.transport,
                client: old.client,
            });
        }
    }
    changes
}

fn route(key: &ServiceKey, found: &image::Route, client: String) -> Route {
    let destination = |found: &image::Destination| Destination {
        cluster: found.name.cluster(),
        weight: found.name.weight,
        endpoints: found
            .endpoints
            .iter()
            .map(|one| std::net::SocketAddr::new(one.ip, one.port).to_string())
            .collect(),
    };
    Route {
        service: found.service.host.clone(),
        address: Peer::new(key.addr, key.port).to_string(),
        transport: transport(key).map_or("?", Proto::name),
        client,
        virtual_service: virtual_service(&found.rule),
        field: field(&found.rule),
        depth: found.depth.name(),
        visible: !found.hidden,
        destinations: found.destinations.iter().map(destination).collect(),
    }
}

impl Route {
    /// `catalog.shop spec.http[0]: version-v1 90 [10.0.0.1:80], version-v2 10 [10.0.0.2:80]`.
    fn leads_to(&self) -> String {
        if !self.visible {
            return "not visible".to_owned();
        }
        let rule = match (&self.virtual_service, &self.field) {
            (Some(name), Some(field)) => format!("{name} {field}: "),
            _ => String::new(),
        };
        let destinations: Vec<String> = self.destinations.iter().map(Destination::text).collect();
        if destinations.is_empty() {
            return format!("{rule}refused");
        }
        rule + &destinations.join(", ")
    }
}

impl Destination {
    fn text(&self) -> String {
        /// So many are shown one by one.
        const SHOWN: usize = 4;
        let parts: Vec<&str> = self.cluster.split('|').collect();
        let name = match parts.as_slice() {
            [_, _, "", host] => host,
            [_, _, subset, _] => subset,
            _ => self.cluster.as_str(),
        };
        let mut endpoints = self.endpoints.clone();
        if endpoints.len() > SHOWN {
            let more = endpoints.len() - SHOWN;
            endpoints.truncate(SHOWN);
            endpoints.push(format!("+ {more} more"));
        }
        format!("{name} {} [{}]", self.weight, endpoints.join(" "))
    }
}

pub(super) fn text(planned: &Planned) -> String {
    let mut text = Text::default();
    if let Some(content) = &planned.content {
        content.text(&mut text);
        text.gap();
    }
    text.heading("FINDINGS");
    if planned.findings.is_empty() {
        text.line(format_args!("  none"));
    }
    for finding in &planned.findings {
        text.lines(&format!("  {}", check::line(finding, false)));
    }
    text.finish()
}

impl Content {
    fn text(&self, text: &mut Text) {
        text.heading("MAPS (rows in use)");
        for (name, rows) in &self.maps {
            text.line(format_args!("  {name:<10} {rows:>8}"));
        }
        text.gap();
        text.heading(if self.live {
            "CHANGES to the live node"
        } else {
            "ROUTES"
        });
        if self.changes.is_empty() {
            text.line(format_args!("  none"));
        }
        for change in &self.changes {
            change.text(text, self.live);
        }
        text.gap();
        text.heading("WRITES (rows)");
        if self.writes.is_empty() {
            text.line(format_args!("  none"));
        }
        for (name, count) in &self.writes {
            text.line(format_args!("  {name:<10} {count:>8}"));
        }
    }
}

impl Change {
    fn text(&self, text: &mut Text, live: bool) {
        let what = if live {
            format!("{} ", self.what)
        } else {
            String::new()
        };
        let client = if self.client == "*" {
            String::new()
        } else {
            format!(" for {}", self.client)
        };
        let (service, address, transport) = (&self.service, &self.address, self.transport);
        text.line(format_args!(
            "  {what}{service} {address}/{transport}{client}"
        ));
        if let Some(from) = &self.from {
            text.line(format_args!("    - {from}"));
        }
        if let Some(to) = &self.to {
            let sign = if live { "+ " } else { "" };
            text.line(format_args!("    {sign}{to}"));
        }
    }
}
