//! What happened between two looks, in a second.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sample::{Pair, Refused, Sample, Tally};

/// All of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(super) struct Rates {
    /// The machine.
    pub(super) node: String,
    /// The time between the two looks.
    pub(super) seconds: f64,
    pub(super) generation: u32,
    /// `applied` or `refused`; none if no agent has said so.
    pub(super) state: Option<String>,
    pub(super) agent_runs: bool,
    pub(super) findings: usize,
    pub(super) refused_per_second: f64,
    /// Whether an agent counts by source.
    pub(super) metrics: bool,
    /// Why an agent that counts could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metrics_trouble: Option<String>,
    pub(super) routes: Vec<RouteRate>,
    pub(super) refused: Vec<RefusedRate>,
    pub(super) sources: Vec<SourceRate>,
}

/// A destination of a route, or a rule that looks at requests.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct RouteRate {
    pub(super) service: String,
    /// Whose route it is, if not everyone's.
    pub(super) client: Option<String>,
    pub(super) destination: String,
    pub(super) connections_per_second: Option<f64>,
    pub(super) requests_per_second: Option<f64>,
    /// Of the connections between the two looks, in per cent.
    pub(super) share: Option<f64>,
    /// What the rule asks for, in per cent.
    pub(super) weight: Option<f64>,
    /// The distance from the exact share, in connections, since these weights took effect.
    pub(super) split_error: Option<f64>,
    pub(super) depth: &'static str,
    /// Whether that may change.
    pub(super) auto: bool,
}

/// Who is refused what.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct RefusedRate {
    pub(super) pod: String,
    pub(super) to: String,
    pub(super) reason: String,
    /// False of what is only told.
    pub(super) enforced: bool,
    pub(super) per_second: f64,
    /// Since the agent began.
    pub(super) count: u64,
}

/// Who asks whom.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct SourceRate {
    pub(super) source: String,
    pub(super) to: String,
    pub(super) connections_per_second: Option<f64>,
    pub(super) requests_per_second: Option<f64>,
    pub(super) errors_per_second: Option<f64>,
    /// Connections that are open now, where nobody counts.
    pub(super) open: Option<u64>,
}

impl Rates {
    /// What happened from `before` to `after`, by names; `sort` and `filter` say what is shown.
    pub(super) fn between(before: &Sample, after: &Sample) -> Self {
        let elapsed = after.at.saturating_sub(before.at);
        let seconds = elapsed.as_secs_f64();
        let per_second = |count: u64| {
            // Two looks at one moment see nothing happen.
            if seconds > 0.0 {
                precise(count) / seconds
            } else {
                0.0
            }
        };
        Self {
            node: String::new(),
            seconds,
            generation: after.generation,
            state: after.state.clone(),
            agent_runs: false,
            findings: after.findings,
            refused_per_second: per_second(grown(before.refused, after.refused)),
            metrics: after.traffic.is_some(),
            metrics_trouble: None,
            routes: routes(before, after, per_second),
            refused: refused(before, after, per_second),
            sources: sources(before, after, per_second),
        }
    }
}

/// A service port as one class of client sees it: its addresses together.
struct Merged {
    depth: &'static str,
    auto: bool,
    split_error: Option<f64>,
    destinations: Vec<Tally>,
    rules: Vec<Tally>,
}

fn routes(before: &Sample, after: &Sample, per_second: impl Fn(u64) -> f64) -> Vec<RouteRate> {
    let mut all: BTreeMap<(&String, Option<&String>), Merged> = BTreeMap::new();
    for (key, now) in &after.routes {
        let was = before.routes.get(key);
        let found = all
            .entry((&now.service, now.client.as_ref()))
            .or_insert_with(|| Merged {
                depth: now.depth,
                auto: now.auto,
                split_error: None,
                destinations: Vec::new(),
                rules: Vec::new(),
            });
        found.split_error = match (found.split_error, now.split_error) {
            (Some(one), Some(other)) => Some(f64::max(one, other)),
            (one, other) => one.or(other),
        };
        // Other weights, other counters.
        let same = was.filter(|was| was.generation == now.generation);
        let counted = same.map(|was| was.destinations.as_slice());
        add(&mut found.destinations, &now.destinations, counted);
        let taken = was.map(|was| was.rules.as_slice());
        add(&mut found.rules, &now.rules, taken);
    }
    all.into_iter()
        .flat_map(|((service, client), merged)| rows(service, client, &merged, &per_second))
        .collect()
}

/// Adds by how much each has grown. Addresses of a service have the same destinations, in one order.
fn add(sums: &mut Vec<Tally>, now: &[Tally], was: Option<&[Tally]>) {
    for (index, count) in now.iter().enumerate() {
        let before = was.and_then(|was| was.get(index));
        let before = before.filter(|was| was.name == count.name);
        let grown = grown(before.map_or(0, |was| was.count), count.count);
        match sums.get_mut(index) {
            Some(sum) if sum.name == count.name => sum.count += grown,
            _ => sums.push(Tally {
                count: grown,
                ..count.clone()
            }),
        }
    }
}

fn rows(
    service: &str,
    client: Option<&String>,
    merged: &Merged,
    per_second: &impl Fn(u64) -> f64,
) -> Vec<RouteRate> {
    let total: u64 = merged.destinations.iter().map(|to| to.count).sum();
    let weights: u64 = merged
        .destinations
        .iter()
        .map(|to| u64::from(to.weight))
        .sum();
    let row = RouteRate {
        service: service.to_owned(),
        client: client.cloned(),
        destination: String::new(),
        connections_per_second: None,
        requests_per_second: None,
        share: None,
        weight: None,
        split_error: None,
        depth: merged.depth,
        auto: merged.auto,
    };
    let rules = merged.rules.iter().map(|rule| RouteRate {
        destination: rule.name.clone(),
        requests_per_second: Some(per_second(rule.count)),
        ..row.clone()
    });
    let destinations = merged.destinations.iter().map(|to| RouteRate {
        destination: to.name.clone(),
        connections_per_second: Some(per_second(to.count)),
        share: percent(to.count, total),
        weight: percent(to.weight.into(), weights),
        split_error: merged.split_error,
        ..row.clone()
    });
    let mut all: Vec<RouteRate> = rules.chain(destinations).collect();
    if all.is_empty() {
        all.push(RouteRate {
            destination: "-".to_owned(),
            ..row
        });
    }
    all
}

fn refused(before: &Sample, after: &Sample, per_second: impl Fn(u64) -> f64) -> Vec<RefusedRate> {
    let row = |(key, &count): (&Refused, &u64)| {
        let was = before.refusals.get(key).copied().unwrap_or_default();
        RefusedRate {
            pod: key.pod.clone(),
            to: key.to.clone(),
            reason: key.reason.clone(),
            enforced: key.enforced,
            per_second: per_second(grown(was, count)),
            count,
        }
    };
    let mut all: Vec<RefusedRate> = after.refusals.iter().map(row).collect();
    all.sort_by(|a, b| {
        let by_rate = b.per_second.total_cmp(&a.per_second);
        by_rate.then(b.count.cmp(&a.count))
    });
    all
}

fn sources(before: &Sample, after: &Sample, per_second: impl Fn(u64) -> f64) -> Vec<SourceRate> {
    let blank = |pair: &Pair| SourceRate {
        source: pair.source.clone(),
        to: pair.to.clone(),
        connections_per_second: None,
        requests_per_second: None,
        errors_per_second: None,
        open: None,
    };
    let mut all: Vec<SourceRate> = match &after.traffic {
        None => after
            .open
            .iter()
            .map(|(pair, &open)| SourceRate {
                open: Some(open),
                ..blank(pair)
            })
            .collect(),
        Some(traffic) => traffic
            .iter()
            .map(|(pair, now)| {
                // Without a look before, nothing is known of what happened since.
                let was = match &before.traffic {
                    Some(traffic) => traffic.get(pair).copied().unwrap_or_default(),
                    None => *now,
                };
                SourceRate {
                    connections_per_second: Some(per_second(grown(
                        was.connections,
                        now.connections,
                    ))),
                    requests_per_second: Some(per_second(grown(was.requests, now.requests))),
                    errors_per_second: Some(per_second(grown(was.errors, now.errors))),
                    ..blank(pair)
                }
            })
            .collect(),
    };
    all.sort_by(|a, b| busy(b).total_cmp(&busy(a)));
    all
}

fn busy(row: &SourceRate) -> f64 {
    let rates = [row.connections_per_second, row.requests_per_second];
    let open = row.open.map(precise);
    rates.into_iter().chain([open]).flatten().sum()
}

/// By how much a count grew. One that is smaller than before began anew.
fn grown(before: u64, after: u64) -> u64 {
    after.checked_sub(before).unwrap_or(after)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| precise(part) * 100.0 / precise(whole))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
pub(super) mod tests;
