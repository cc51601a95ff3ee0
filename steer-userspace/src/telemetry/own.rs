//! How the agent itself stands, as samples.

use std::{collections::BTreeMap, sync::Arc};

use steer_common::{
    Proto, Route,
    reason::Reason,
    service::{CLASS_ANYONE, ClassId, ROUTE_AUTO, ServiceKey, SplitId},
};

use super::{
    exact::split_error,
    graph::Ruled,
    histogram::{Histogram, SECONDS},
    registry::{self, Metric},
};
use crate::{
    finding::{Finding, Severity},
    image::{ServiceName, canary},
    live::Live,
    plan::Names,
};

/// How the weights of a route with `split: auto` are kept.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Kept {
    /// Whether requests on new connections are split; else connections are.
    pub by_request: bool,
    /// The shares that were last taken while connections were split: of how many requests, and how far
    /// the farthest of them was from its weight, in percentage points.
    pub judged: Option<(u64, f64)>,
}

/// How the agent stands, as it told last.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The generation in force.
    pub generation: u32,
    /// Whether what is written is in force.
    pub applied: bool,
    /// How long applies took.
    pub applies: Histogram,
    /// Applies that failed.
    pub failed: u64,
    /// When the configuration was last read without an error, in nanoseconds of the monotonic clock.
    pub read_ns: u64,
    /// When that differed from what was read before.
    pub changed_ns: u64,
    /// When the agent last said that it lives.
    pub beat_ns: u64,
    /// Findings, by severity.
    pub findings: BTreeMap<Severity, u64>,
    /// Pods of this node.
    pub pods: u64,
    /// What classes of clients stand for.
    pub classes: BTreeMap<ClassId, String>,
    /// What the numbers of the kernel's rows mean.
    pub names: Arc<Names>,
    /// What rules ask for, for graphs.
    pub services: Arc<Vec<Ruled>>,
    /// How many services were left out of that.
    pub services_left_out: usize,
    /// How weights are kept where that may change.
    pub kept: BTreeMap<SplitId, Kept>,
    /// What became of copies of requests, by outcome.
    pub mirrored: Vec<(&'static str, u64)>,
    /// What became of lines of the access log, by outcome.
    pub lines: Vec<(&'static str, u64)>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            generation: 0,
            applied: false,
            applies: Histogram::new(SECONDS),
            failed: 0,
            read_ns: 0,
            changed_ns: 0,
            beat_ns: 0,
            findings: BTreeMap::new(),
            pods: 0,
            classes: BTreeMap::new(),
            names: Arc::default(),
            services: Arc::default(),
            services_left_out: 0,
            kept: BTreeMap::new(),
            mirrored: Vec::new(),
            lines: Vec::new(),
        }
    }
}

impl Standing {
    /// Counts findings.
    pub fn find(&mut self, findings: &[Finding]) {
        self.findings.clear();
        for severity in [Severity::Error, Severity::Warning, Severity::Info] {
            self.findings.insert(severity, 0);
        }
        for finding in findings {
            *self.findings.entry(finding.severity).or_default() += 1;
        }
    }
}

/// How full a map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    /// The map.
    pub map: &'static str,
    /// Rows in use.
    pub rows: u64,
    /// Rows there are.
    pub capacity: u64,
}

/// A value with its labels.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: f64,
}

/// Samples, by metric, in the order in which they were put there.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(pub(super) Vec<(Metric, Vec<Sample>)>);

impl Samples {
    pub(super) fn put(&mut self, metric: Metric, labels: &[&str], value: f64) {
        let labels = metric.labels.iter().copied().zip(labels);
        let sample = Sample {
            labels: labels
                .map(|(name, text)| (name, (*text).to_owned()))
                .collect(),
            value,
        };
        match self.0.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((metric, vec![sample])),
        }
    }

    /// What the agent says of itself.
    pub(super) fn standing(&mut self, standing: &Standing, now_ns: u64) {
        let ago = |then_ns: u64| seconds(now_ns.saturating_sub(then_ns));
        let wanted = standing.generation + u32::from(!standing.applied);
        self.put(registry::GENERATION, &[], standing.generation.into());
        self.put(registry::GENERATION_WANTED, &[], wanted.into());
        self.put(registry::APPLIES_FAILED, &[], number(standing.failed));
        self.put(registry::SOURCE_AGE, &[], ago(standing.read_ns));
        self.put(registry::SOURCE_CHANGED_AGE, &[], ago(standing.changed_ns));
        for (severity, count) in &standing.findings {
            let severity = severity.to_string().to_lowercase();
            self.put(registry::FINDINGS, &[&severity], number(*count));
        }
        self.put(registry::PODS, &[], number(standing.pods));
        for (outcome, count) in &standing.mirrored {
            self.put(registry::MIRRORED, &[outcome], number(*count));
        }
        for (outcome, count) in &standing.lines {
            self.put(registry::LOG_LINES, &[outcome], number(*count));
        }
        self.put(registry::BUILD, &[env!("STEER_VERSION")], 1.0);
    }

    /// What the kernel's maps say.
    pub(super) fn live(&mut self, live: &Live, standing: &Standing) {
        self.routes(live, standing);
        for (reason, count) in &live.reasons {
            self.put(registry::VERDICTS, &[reason.name()], number(*count));
        }
        self.put(registry::LEARNED, &[], number(live.learned.len() as u64));
        let lost = |reasons: &[Reason]| {
            let counts = reasons.iter().filter_map(|reason| live.reasons.get(reason));
            number(counts.sum())
        };
        for (ring, reasons) in RINGS {
            self.put(registry::RING_LOST, &[ring], lost(reasons));
        }
    }

    pub(super) fn fills(&mut self, fills: &[Fill]) {
        for fill in fills {
            self.put(registry::MAP_ROWS, &[fill.map], number(fill.rows));
        }
        for fill in fills {
            self.put(registry::MAP_CAPACITY, &[fill.map], number(fill.capacity));
        }
    }

    /// How often and how long programs ran, by name: seconds.
    pub(super) fn programs(&mut self, runs: &[(&'static str, u64, f64)]) {
        for (program, count, _) in runs {
            self.put(registry::PROGRAM_RUNS, &[program], number(*count));
        }
        for (program, _, took) in runs {
            self.put(registry::PROGRAM_TIME, &[program], *took);
        }
    }

    fn routes(&mut self, live: &Live, standing: &Standing) {
        let used = live.services.iter().filter_map(|(key, row)| {
            let route = Used::new(key, live.routes.get(row)?, live, standing)?;
            route.is_used().then_some(route)
        });
        let mut used: Vec<Used<'_>> = used.collect();
        let left_out = used.len().saturating_sub(ROUTES_MAX);
        used.truncate(ROUTES_MAX);
        for found in &used {
            if let Some(error) = split_error(found.route, &found.counts) {
                self.put(registry::SPLIT_ERROR, &found.labels(), error);
            }
        }
        for found in &used {
            self.kept(found);
        }
        for found in &used {
            let clusters = found.clusters(&standing.names);
            for (cluster, count) in clusters.iter().zip(&found.counts) {
                let labels = [found.labels().as_slice(), &[cluster]].concat();
                self.put(registry::ROUTE_CONNECTIONS, &labels, number(*count));
            }
        }
        self.put(registry::ROUTES_LEFT_OUT, &[], number(left_out as u64));
    }

    /// How the weights of a route are kept, if that may change.
    fn kept(&mut self, found: &Used<'_>) {
        let Some(kept) = found.kept else { return };
        let labels = found.labels();
        let by_request = number(u64::from(kept.by_request));
        self.put(registry::SPLIT_BY_REQUEST, &labels, by_request);
        if let Some((requests, points)) = kept.judged {
            self.put(registry::JUDGED_REQUESTS, &labels, number(requests));
            self.put(registry::STRAYED_POINTS, &labels, points);
        }
    }
}

/// Routes that have series of their own.
const ROUTES_MAX: usize = 5_000;

/// A route that connections took.
struct Used<'a> {
    service: &'a ServiceName,
    route: &'a Route,
    port: String,
    transport: &'static str,
    address: String,
    client: String,
    /// Of its destinations, in their order.
    counts: Vec<u64>,
    kept: Option<Kept>,
}

impl<'a> Used<'a> {
    /// None if nobody knows its name, or it is the agent's own.
    fn new(
        key: &ServiceKey,
        route: &'a Route,
        live: &Live,
        standing: &'a Standing,
    ) -> Option<Self> {
        let service = standing.names.services.get(&route.service)?;
        if canary::is(service) {
            return None;
        }
        let counters = (route.counters..).take(route.destinations().len());
        let count = |counter| live.counters.get(&counter).copied().unwrap_or_default();
        Some(Self {
            service,
            route,
            port: key.port.to_string(),
            transport: Proto::from_number(key.proto.into()).map_or("?", Proto::name),
            address: key.addr.to_string(),
            client: match standing.classes.get(&key.class) {
                _ if key.class == CLASS_ANYONE => "*".to_owned(),
                Some(text) => text.clone(),
                None => format!("class {}", key.class),
            },
            counts: counters.map(count).collect(),
            kept: standing
                .kept
                .get(&route.split)
                .filter(|_| route.has(ROUTE_AUTO))
                .copied(),
        })
    }

    /// Whether connections took it; those that the agent splits by request are not counted here.
    fn is_used(&self) -> bool {
        let by_request = self.kept.is_some_and(|kept| kept.by_request);
        by_request || self.counts.iter().any(|&count| count > 0)
    }

    fn labels(&self) -> [&str; 6] {
        [
            &self.service.namespace,
            &self.service.name,
            &self.port,
            self.transport,
            &self.address,
            &self.client,
        ]
    }

    fn clusters(&self, names: &Names) -> Vec<String> {
        let all = self.route.destinations().iter();
        let found = all.map(|placed| names.destinations.get(&placed.subset));
        found
            .map(|name| name.map_or_else(|| "?".to_owned(), |name| name.cluster()))
            .collect()
    }
}

/// The kernel's rings, and by what it counts what did not fit.
const RINGS: [(&str, &[Reason]); 3] = [
    ("EVENTS", &[Reason::EventsLost]),
    ("CONNECTIONS", &[Reason::ConnectionsLost]),
    ("TAP", &[Reason::TapFull]),
];

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests;
