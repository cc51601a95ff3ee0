//! A lane while it is added up.

use std::collections::BTreeMap;

use super::{Flow, Kind, Lane, Path, Source, Version};
use crate::telemetry::graph::{Node, Refused, Ruled, Ruling, Traffic};

/// What is added up.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
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
    pub(super) fn add(&mut self, one: &Traffic) {
        self.choices += one.choices();
        self.connections += one.connections_opened;
        self.requests += one.requests.saturating_sub(one.copies);
        self.errors += one.errors;
        self.copies += one.copies;
        self.sent += one.sent_bytes;
        self.received += one.received_bytes;
        self.took_ms += one.duration_ms;
    }

    pub(super) fn flow(&self, seconds: f64) -> Flow {
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
pub(super) struct Draft<'a> {
    pub(super) ruled: Option<&'a Ruled>,
    whole: Sum,
    paths: BTreeMap<(&'a Node, &'a Node), Sum>,
    pub(super) refused: Vec<&'a Refused>,
}

impl<'a> Draft<'a> {
    pub(super) fn add(&mut self, one: &'a Traffic) {
        let path = (&one.source, &one.destination);
        self.paths.entry(path).or_default().add(one);
        self.whole.add(one);
    }

    pub(super) fn lane(self, kind: Kind, host: String, seconds: f64) -> Lane {
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
    let of_connections = |rule: &&Ruling| rule.matches.is_empty() && rule.answers.is_empty();
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

pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    float(count) / seconds
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a minute stay below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}
