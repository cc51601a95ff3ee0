//! What is drawn of a while: for each service who asks for it, and which share each version gets.

mod draft;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Graph, Node, Refused, Routed, Ruled};
use crate::telemetry::workload::UNKNOWN;
use draft::{Draft, Sum, per_second};

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

#[cfg(test)]
mod tests;
