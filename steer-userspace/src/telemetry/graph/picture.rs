//! What is drawn of a while: for each service who asks for it, and which share each version gets.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Graph, Node, Refused, Routed, Ruled, Traffic};
use crate::telemetry::workload::UNKNOWN;

/// As Envoy names the cluster of what is refused; it is drawn by what it was for.
const BLACK_HOLE: &str = "BlackHoleCluster";
/// As Envoy names that of what no rule leads anywhere.
const PASSTHROUGH: &str = "PassthroughCluster";

/// What went in a while.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Picture {
    /// How long that was.
    pub seconds: f64,
    /// All of it.
    pub whole: Flow,
    /// Connections that were refused a second.
    pub refused: f64,
    /// By namespace and name.
    pub lanes: Vec<Lane>,
}

/// How much of something there was. All but counts are of a second.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Flow {
    /// Connections and requests for which an endpoint was chosen, in all.
    pub choices: u64,
    /// Connections that nobody looks into.
    pub connections: f64,
    /// Requests, without copies.
    pub requests: f64,
    /// What failed.
    pub errors: f64,
    /// Copies of requests.
    pub copies: f64,
    /// Bytes that servers sent.
    pub sent: f64,
    /// Bytes that servers received.
    pub received: f64,
    /// How long a request took, in milliseconds, if there were any.
    pub took_ms: Option<f64>,
}

/// What a lane stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A service of the cluster.
    Service,
    /// A host outside that the registry names.
    Outside,
    /// What no rule leads anywhere.
    Passthrough,
    /// What is refused.
    Refused,
}

/// A service, who asks for it, and who serves it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lane {
    /// What it stands for.
    pub kind: Kind,
    /// Its host; unique together with its kind.
    pub host: String,
    /// Its short name.
    pub name: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// `connect`, `hello`, `request` or `auto`; the deepest of its routes. None if it has none.
    pub depth: Option<String>,
    /// All of it.
    pub flow: Flow,
    /// Who asks.
    pub sources: Vec<Source>,
    /// Who serves.
    pub versions: Vec<Version>,
    /// From whom to whom.
    pub paths: Vec<Path>,
    /// What rules say.
    pub routes: Vec<Routed>,
    /// Why it is refused, and at which port.
    pub refusals: Vec<Refused>,
}

/// Who asks for a service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Who.
    pub node: Node,
    /// How much.
    pub flow: Flow,
}

/// Who serves a service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Version {
    /// Who.
    pub node: Node,
    /// Its part of all choices, in percent; none if there were none.
    pub share: Option<f64>,
    /// What the rule wants, in percent, if one rule says it for all clients.
    pub wanted: Option<f64>,
    /// Whether it gets copies.
    pub is_mirror: bool,
    /// How much.
    pub flow: Flow,
}

/// From a source to a version, by their places in the lane.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Path {
    /// Who asks.
    pub source: usize,
    /// Who serves.
    pub version: usize,
    /// Its part of what the source asks for, in percent.
    pub share: Option<f64>,
    /// How much.
    pub flow: Flow,
}

impl Picture {
    /// That of what was counted in a while (`Window::grown`), and of what rules say.
    pub fn new(took: Duration, grown: &Graph, ruled: &[Ruled]) -> Self {
        let seconds = took.as_secs_f64().max(f64::MIN_POSITIVE);
        let once = grown.once();
        let mut drafts: BTreeMap<(Kind, String), Draft<'_>> = BTreeMap::new();
        for service in ruled {
            let key = (kind_of(service), service.host.clone());
            let draft = drafts.entry(key).or_default();
            draft.ruled.get_or_insert(service);
        }
        let by_host: BTreeMap<&str, Kind> = ruled
            .iter()
            .map(|one| (one.host.as_str(), kind_of(one)))
            .collect();
        let mut whole = Sum::default();
        for one in once.traffic.iter().filter(|one| one.service != BLACK_HOLE) {
            let kind = match by_host.get(one.service.as_str()) {
                Some(kind) => *kind,
                None if [PASSTHROUGH, UNKNOWN].contains(&one.service.as_str()) => Kind::Passthrough,
                None => Kind::Service,
            };
            let draft = drafts.entry((kind, one.service.clone())).or_default();
            draft.add(one);
            whole.add(one);
        }
        let mut refused = 0;
        for one in &once.refused {
            refused += one.count;
            let key = (Kind::Refused, one.name.clone());
            drafts.entry(key).or_default().refused.push(one);
        }
        let lanes = drafts.into_iter();
        let mut lanes: Vec<Lane> = lanes
            .map(|((kind, host), draft)| draft.lane(kind, host, seconds))
            .collect();
        lanes.sort_by(|a, b| place(a).cmp(&place(b)));
        Self {
            seconds,
            whole: whole.flow(seconds),
            refused: per_second(refused, seconds),
            lanes,
        }
    }
}

impl Picture {
    /// The same, as it is before anything was measured.
    #[must_use]
    pub fn unmeasured(self) -> Self {
        Self {
            seconds: 0.0,
            ..self
        }
    }
}

fn place(lane: &Lane) -> (&str, &str, &str) {
    (&lane.namespace, &lane.name, &lane.host)
}

fn kind_of(service: &Ruled) -> Kind {
    if service.outside {
        Kind::Outside
    } else {
        Kind::Service
    }
}

/// What is added up.
#[derive(Clone, Copy, Default)]
struct Sum {
    choices: u64,
    connections: u64,
    requests: u64,
    errors: u64,
    copies: u64,
    sent: u64,
    received: u64,
    took_ms: f64,
}

impl Sum {
    fn add(&mut self, one: &Traffic) {
        self.choices += one.choices();
        self.connections += one.connections_opened;
        self.requests += one.requests.saturating_sub(one.copies);
        self.errors += one.errors;
        self.copies += one.copies;
        self.sent += one.sent_bytes;
        self.received += one.received_bytes;
        self.took_ms += one.duration_ms;
    }

    fn flow(&self, seconds: f64) -> Flow {
        let rate = |count| per_second(count, seconds);
        Flow {
            choices: self.choices,
            connections: rate(self.connections),
            requests: rate(self.requests),
            errors: rate(self.errors),
            copies: rate(self.copies),
            sent: rate(self.sent),
            received: rate(self.received),
            took_ms: (self.requests > 0).then(|| self.took_ms / float(self.requests)),
        }
    }
}

/// A lane while it is added up.
#[derive(Default)]
struct Draft<'a> {
    ruled: Option<&'a Ruled>,
    whole: Sum,
    paths: BTreeMap<(&'a Node, &'a Node), Sum>,
    refused: Vec<&'a Refused>,
}

impl<'a> Draft<'a> {
    fn add(&mut self, one: &'a Traffic) {
        let path = (&one.source, &one.destination);
        self.paths.entry(path).or_default().add(one);
        self.whole.add(one);
    }

    fn lane(self, kind: Kind, host: String, seconds: f64) -> Lane {
        let (mut sources, mut versions) = (BTreeMap::new(), BTreeMap::new());
        let mut wanted = BTreeMap::new();
        for (node, percent) in self.ruled.into_iter().flat_map(wanted_of) {
            versions.entry(node).or_insert_with(Sum::default);
            if let Some(percent) = percent {
                *wanted.entry(node).or_insert(0.0) += percent;
            }
        }
        let mirrors = self.ruled.into_iter().flat_map(mirrors_of);
        let mirrors: Vec<&Node> = mirrors.collect();
        for node in &mirrors {
            versions.entry(node).or_insert_with(Sum::default);
        }
        for ((source, version), sum) in &self.paths {
            merge(sources.entry(*source).or_default(), sum);
            merge(versions.entry(*version).or_default(), sum);
        }
        for one in &self.refused {
            let sum: &mut Sum = sources.entry(&one.source).or_default();
            sum.connections += one.count;
            sum.errors += one.count;
        }
        let names: Vec<&Node> = sources.keys().copied().collect();
        let servers: Vec<&Node> = versions.keys().copied().collect();
        let at = |all: &[&Node], node: &Node| all.iter().position(|one| *one == node);
        let paths = self.paths.iter().filter_map(|((source, version), sum)| {
            Some(Path {
                source: at(&names, source)?,
                version: at(&servers, version)?,
                share: percent(sum.choices, sources.get(*source)?.choices),
                flow: sum.flow(seconds),
            })
        });
        let refusals = self.refused.iter();
        Lane {
            kind,
            name: self
                .ruled
                .map_or_else(|| host.clone(), |found| found.name.clone()),
            namespace: self
                .ruled
                .map(|found| found.namespace.clone())
                .unwrap_or_default(),
            depth: self.ruled.and_then(depth_of),
            host,
            flow: self.whole.flow(seconds),
            paths: paths.collect(),
            sources: sources
                .iter()
                .map(|(node, sum)| Source {
                    node: (*node).clone(),
                    flow: sum.flow(seconds),
                })
                .collect(),
            versions: versions
                .iter()
                .map(|(node, sum)| Version {
                    share: percent(sum.choices, self.whole.choices),
                    wanted: wanted.get(node).copied(),
                    is_mirror: sum.copies > 0 || mirrors.contains(node),
                    flow: sum.flow(seconds),
                    node: (*node).clone(),
                })
                .collect(),
            routes: self
                .ruled
                .map(|found| found.routes.clone())
                .unwrap_or_default(),
            refusals: refusals.map(|one| (*one).clone()).collect(),
        }
    }
}

fn merge(into: &mut Sum, sum: &Sum) {
    into.choices += sum.choices;
    into.connections += sum.connections;
    into.requests += sum.requests;
    into.errors += sum.errors;
    into.copies += sum.copies;
    into.sent += sum.sent;
    into.received += sum.received;
    into.took_ms += sum.took_ms;
}

/// Whom rules lead to; with its share if one rule says it, for all clients and ports.
fn wanted_of(service: &Ruled) -> Vec<(&Node, Option<f64>)> {
    let rules: Vec<_> = service
        .routes
        .iter()
        .flat_map(|route| &route.rules)
        .collect();
    let of_connections = |rule: &&super::Ruling| rule.matches.is_empty() && rule.answers.is_empty();
    let first = rules.first();
    let is_one = first.is_some_and(|first| {
        let mut all = rules.iter();
        all.all(|rule| of_connections(rule) && rule.leads_to == first.leads_to)
    });
    let told = if is_one { &rules[..1] } else { &rules[..] };
    let led = told
        .iter()
        .flat_map(|rule| &rule.leads_to)
        .filter(|led| led.host == service.host);
    led.flat_map(|led| {
        let alone = led.workloads.len() == 1 && is_one;
        let percent = alone.then_some(led.percent);
        led.workloads.iter().map(move |node| (node, percent))
    })
    .collect()
}

/// Whom rules copy to.
fn mirrors_of(service: &Ruled) -> impl Iterator<Item = &Node> {
    let rules = service.routes.iter().flat_map(|route| &route.rules);
    rules
        .flat_map(|rule| &rule.mirrors)
        .filter(|led| led.host == service.host)
        .flat_map(|led| &led.workloads)
}

fn depth_of(service: &Ruled) -> Option<String> {
    if service.routes.iter().any(|route| route.auto) {
        return Some("auto".to_owned());
    }
    let depths = ["request", "hello", "connect"].into_iter();
    let mut found = depths.filter(|depth| service.routes.iter().any(|route| route.depth == *depth));
    found.next().map(ToOwned::to_owned)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * float(part) / float(whole))
}

fn per_second(count: u64, seconds: f64) -> f64 {
    float(count) / seconds
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a minute stay below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
