//! One look: everything that is counted, at one moment. What was counted between two of them is a rate.

use std::{collections::BTreeMap, time::Duration};

use steer_common::{
    Proto,
    reason::{Outcome, Reason},
    service::{CLASS_ANYONE, ROUTE_HIDDEN, Route, ServiceKey},
};

use super::graph::Traffic;
use crate::{
    cli::{
        get::{Held, leading, shares, short},
        instance::{InForce, Seen, transport},
    },
    control::Counted,
    image::ServiceName,
    telemetry::split_error,
};

/// One look.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// On the monotonic clock.
    pub(super) at: Duration,
    pub(super) generation: u32,
    /// `applied` or `refused`, as the agent said last.
    pub(super) state: Option<String>,
    /// How many findings there are.
    pub(super) findings: usize,
    /// How often the kernel refused something.
    pub(super) refused: u64,
    pub(super) routes: BTreeMap<ServiceKey, Counts>,
    pub(super) refusals: BTreeMap<Refused, u64>,
    /// By source and destination, if the agent counts.
    pub(super) traffic: Option<BTreeMap<Pair, Traffic>>,
    /// Open connections by pod and cluster, if nobody counts.
    pub(super) open: BTreeMap<Pair, u64>,
}

/// What is counted of a route.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// `catalog.istioinaction:80`.
    pub(super) service: String,
    /// Whose route it is, if not everyone's.
    pub(super) client: Option<String>,
    /// Counters begin anew with each.
    pub(super) generation: u32,
    pub(super) depth: &'static str,
    /// Whether that may change.
    pub(super) auto: bool,
    pub(super) split_error: Option<f64>,
    /// Connections, by destination.
    pub(super) destinations: Vec<Tally>,
    /// Requests, by rule.
    pub(super) rules: Vec<Tally>,
}

/// What was counted of a destination or a rule.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) name: String,
    /// As written; 0 of a rule.
    pub(super) weight: u32,
    pub(super) count: u64,
}

/// Who was refused what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Refused {
    pub(super) pod: String,
    /// A name, or else an address; and a port.
    pub(super) to: String,
    pub(super) reason: String,
    /// False of what was only told.
    pub(super) enforced: bool,
}

/// From whom to whom.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pair {
    pub(super) source: String,
    pub(super) to: String,
}

impl Sample {
    /// What is seen at a moment; beside it what the agent counted, or else the sockets of pods.
    pub(super) fn new(
        at: Duration,
        seen: &Seen,
        refusals: &[Counted],
        traffic: Option<BTreeMap<Pair, Traffic>>,
    ) -> Self {
        let said = &seen.status;
        Self {
            at,
            generation: seen.live.generation,
            state: said["state"].as_str().map(str::to_owned),
            findings: said["findings"].as_array().map_or(0, Vec::len),
            refused: refused(&seen.live.reasons),
            routes: seen
                .routes()
                .iter()
                .filter(|found| !found.route.has(ROUTE_HIDDEN))
                .map(|found| (*found.key, counts(seen, found)))
                .collect(),
            refusals: by_pod(refusals),
            traffic,
            open: open(seen),
        }
    }
}

/// How often something was refused. A reset answers a packet that was.
fn refused(reasons: &BTreeMap<Reason, u64>) -> u64 {
    let refusals = reasons.iter().filter(|(reason, _)| {
        reason.outcome() == Outcome::Refused && **reason != Reason::ResetSent
    });
    refusals.map(|(_, count)| count).sum()
}

fn counts(seen: &Seen, found: &InForce<'_>) -> Counts {
    let InForce {
        key,
        route,
        service,
    } = *found;
    let shares = shares(seen, route);
    let per_destination: Vec<u64> = shares.iter().map(|share| share.connections).collect();
    let name = service.map_or_else(|| key.addr.to_string(), called);
    let suffix = if transport(key) == Some(Proto::Udp) {
        "/udp"
    } else {
        ""
    };
    Counts {
        service: format!("{name}:{}{suffix}", key.port),
        client: (key.class != CLASS_ANYONE).then(|| seen.class(key.class)),
        generation: route.generation,
        depth: route.depth().name(),
        auto: seen.kept(route).is_some(),
        split_error: split_error(route, &per_destination),
        destinations: shares
            .iter()
            .map(|share| Tally {
                name: short(&share.cluster).to_owned(),
                weight: share.weight,
                count: share.connections,
            })
            .collect(),
        rules: rules(seen, route),
    }
}

/// `catalog.istioinaction`; hosts outside have their own names.
fn called(name: &ServiceName) -> String {
    let short = format!("{}.{}", name.name, name.namespace);
    let is_inside = name.host.starts_with(&format!("{short}.svc."));
    if is_inside { short } else { name.host.clone() }
}

/// The rules of a route that look at requests: what each takes, and where that goes.
fn rules(seen: &Seen, route: &Route) -> Vec<Tally> {
    let rules = seen.requests(route).iter().enumerate();
    rules
        .map(|(index, rule)| {
            let to: Vec<String> = rule.leads_to.iter().map(|to| leading(to)).collect();
            Tally {
                name: format!("{} -> {}", rule.matches.join(" or "), to.join(" ")),
                weight: 0,
                count: seen.taken(route, index),
            }
        })
        .collect()
}

fn by_pod(refusals: &[Counted]) -> BTreeMap<Refused, u64> {
    let mut all: BTreeMap<Refused, u64> = BTreeMap::new();
    for Counted { refusal, count, .. } in refusals {
        let pod = refusal.pod.as_ref();
        let address = refusal.address.to_string();
        let name = refusal.name.as_deref().unwrap_or(&address);
        let key = Refused {
            pod: pod.map_or_else(|| "?".to_owned(), ToString::to_string),
            to: format!("{name}:{}", refusal.port),
            reason: refusal.reason.clone(),
            enforced: refusal.refused,
        };
        *all.entry(key).or_default() += count;
    }
    all
}

fn open(seen: &Seen) -> BTreeMap<Pair, u64> {
    let mut all: BTreeMap<Pair, u64> = BTreeMap::new();
    let dialled = |held: &&Held| held.origin.is_some();
    for held in seen.connections.iter().filter(dialled) {
        let source = seen.live.sources.get(&held.namespace);
        let pod = source.and_then(|source| seen.names.workloads.get(&source.workload));
        let key = Pair {
            source: pod.map_or_else(|| "?".to_owned(), ToString::to_string),
            to: held
                .origin
                .map(|origin| origin.dialled.to_string())
                .unwrap_or_default(),
        };
        *all.entry(key).or_default() += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_no_refusal_of_its_own() {
        let reasons = [
            (Reason::Drawn, 100),
            (Reason::NotInRegistry, 3),
            (Reason::ResetSent, 3),
            (Reason::NoEndpoint, 2),
        ];
        assert_eq!(refused(&reasons.into()), 5);
    }
}
