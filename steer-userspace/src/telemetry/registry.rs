//! Every metric that is told: names, labels and meanings, as /metrics and the reference have them.

use prometheus_client::metrics::MetricType;

/// What a metric is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It has a value.
    Gauge,
    /// How many were at most so large.
    Histogram,
}

impl Kind {
    /// As a page of the reference has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    pub(super) const fn of_client(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

/// A metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels; those of Istio's are the same for all and stand elsewhere.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        kind: Kind::Gauge,
        ..counter(name, labels, help)
    }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        kind: Kind::Histogram,
        ..counter(name, labels, help)
    }
}

pub(super) const TCP_OPENED: Metric = counter(
    "istio_tcp_connections_opened_total",
    &[],
    "TCP connections that were opened",
);
pub(super) const TCP_CLOSED: Metric = counter(
    "istio_tcp_connections_closed_total",
    &[],
    "TCP connections that have closed",
);
pub(super) const TCP_SENT: Metric = counter(
    "istio_tcp_sent_bytes_total",
    &[],
    "Bytes that servers sent over TCP connections",
);
pub(super) const TCP_RECEIVED: Metric = counter(
    "istio_tcp_received_bytes_total",
    &[],
    "Bytes that servers received over TCP connections",
);
pub(super) const REQUESTS: Metric = counter(
    "istio_requests_total",
    &[],
    "Requests that were looked at, and copies of requests",
);
pub(super) const REQUEST_DURATION: Metric = histogram(
    "istio_request_duration_milliseconds",
    &[],
    "How long requests took until the last byte of their answers",
);
pub(super) const REQUEST_BYTES: Metric = histogram(
    "istio_request_bytes",
    &[],
    "Bytes of the bodies of requests",
);
pub(super) const RESPONSE_BYTES: Metric = histogram(
    "istio_response_bytes",
    &[],
    "Bytes of the bodies of answers",
);

pub(super) const REQUEST_MESSAGES: Metric = counter(
    "istio_request_messages_total",
    &[],
    "Messages of gRPC that clients sent, in requests that have ended",
);
pub(super) const RESPONSE_MESSAGES: Metric = counter(
    "istio_response_messages_total",
    &[],
    "Messages of gRPC that servers sent, in answers that have ended",
);

pub(super) const GENERATION: Metric = gauge(
    "steer_generation",
    &[],
    "Generation of the configuration that is in force",
);
pub(super) const GENERATION_WANTED: Metric = gauge(
    "steer_generation_wanted",
    &[],
    "Generation that would be in force if what is written could be applied",
);
pub(super) const APPLY_DURATION: Metric = histogram(
    "steer_apply_duration_seconds",
    &[],
    "How long it took to compile a configuration and to put it in force",
);
pub(super) const APPLIES_FAILED: Metric = counter(
    "steer_applies_failed_total",
    &[],
    "Configurations that could not be put in force: the last good one stayed",
);
pub(super) const SOURCE_AGE: Metric = gauge(
    "steer_source_age_seconds",
    &[],
    "Time since the configuration was last read without an error, which is every five seconds; of a \
     cluster, what its watches had brought",
);
pub(super) const SOURCE_CHANGED_AGE: Metric = gauge(
    "steer_source_changed_age_seconds",
    &[],
    "Time since something that was read differed from what was read before",
);
pub(super) const FINDINGS: Metric = gauge(
    "steer_findings",
    &["severity"],
    "What is refused, not enforced, or enforced in part",
);
pub(super) const PODS: Metric = gauge("steer_pods", &[], "Pods of this node that were found");
/// What a route is known by.
const ROUTE: [&str; 6] = [
    "service_namespace",
    "service",
    "port",
    "transport",
    "address",
    "client",
];
pub(super) const SPLIT_ERROR: Metric = gauge(
    "steer_route_split_error",
    &ROUTE,
    "Largest distance of a destination's connections from its exact share, since the weights took \
     effect: below 1 within a period of the weights, 0 at its end",
);
pub(super) const SPLIT_BY_REQUEST: Metric = gauge(
    "steer_route_split_by_request",
    &ROUTE,
    "Of a route with `split: auto`: 1 if requests on new connections are split, 0 if connections are",
);
pub(super) const JUDGED_REQUESTS: Metric = gauge(
    "steer_route_judged_requests",
    &ROUTE,
    "Of a route with `split: auto`: of how many requests shares were last taken while connections \
     were split",
);
pub(super) const STRAYED_POINTS: Metric = gauge(
    "steer_route_strayed_points",
    &ROUTE,
    "Of a route with `split: auto`: how far the farthest of these shares was from its weight, in \
     percentage points",
);
pub(super) const ROUTE_CONNECTIONS: Metric = counter(
    "steer_route_connections_total",
    &[
        "service_namespace",
        "service",
        "port",
        "transport",
        "address",
        "client",
        "cluster",
    ],
    "Connections that the kernel gave to a destination of a route, since its weights took effect",
);
pub(super) const ROUTES_LEFT_OUT: Metric = gauge(
    "steer_routes_left_out",
    &[],
    "Routes with connections that have no series of their own, since there are more than 5,000",
);
pub(super) const VERDICTS: Metric = counter(
    "steer_verdicts_total",
    &["reason"],
    "What the programs in the kernel decided, by reason",
);
pub(super) const LEARNED: Metric = gauge(
    "steer_learned_names",
    &[],
    "Addresses of allowed names that DNS answers have taught",
);
pub(super) const RING_LOST: Metric = counter(
    "steer_ring_lost_total",
    &["ring"],
    "Records that did not fit into a ring of the kernel",
);
pub(super) const MAP_ROWS: Metric = gauge("steer_map_rows", &["map"], "Rows of a map in use");
pub(super) const MAP_CAPACITY: Metric = gauge(
    "steer_map_capacity_rows",
    &["map"],
    "Rows that a map has room for",
);
pub(super) const PROGRAM_RUNS: Metric = counter(
    "steer_program_runs_total",
    &["program"],
    "How often a program ran; only while the kernel keeps count (kernel.bpf_stats_enabled=1)",
);
pub(super) const PROGRAM_TIME: Metric = counter(
    "steer_program_run_seconds_total",
    &["program"],
    "How long a program ran; only while the kernel keeps count (kernel.bpf_stats_enabled=1)",
);
pub(super) const MIRRORED: Metric = counter(
    "steer_mirrored_requests_total",
    &["outcome"],
    "What became of copies of requests",
);
pub(super) const LOG_LINES: Metric = counter(
    "steer_access_log_lines_total",
    &["outcome"],
    "What became of lines of the access log",
);
pub(super) const SERIES: Metric = gauge(
    "steer_telemetry_series",
    &[],
    "Series of traffic that are kept",
);
pub(super) const SERIES_OVERFLOW: Metric = counter(
    "steer_telemetry_overflow_total",
    &[],
    "What was counted with unknown labels, since there were too many series",
);
pub(super) const TRACKED: Metric = gauge(
    "steer_telemetry_open_connections",
    &[],
    "Open connections that are followed, those of the proxy among them",
);
pub(super) const BUILD: Metric = gauge(
    "steer_build_info",
    &["version"],
    "Always 1; the version of the agent",
);

/// All of them, in the order in which they are told.
pub const ALL: [Metric; 38] = [
    TCP_OPENED,
    TCP_CLOSED,
    TCP_SENT,
    TCP_RECEIVED,
    REQUESTS,
    REQUEST_DURATION,
    REQUEST_BYTES,
    RESPONSE_BYTES,
    REQUEST_MESSAGES,
    RESPONSE_MESSAGES,
    GENERATION,
    GENERATION_WANTED,
    APPLY_DURATION,
    APPLIES_FAILED,
    SOURCE_AGE,
    SOURCE_CHANGED_AGE,
    FINDINGS,
    PODS,
    SPLIT_ERROR,
    SPLIT_BY_REQUEST,
    JUDGED_REQUESTS,
    STRAYED_POINTS,
    ROUTE_CONNECTIONS,
    ROUTES_LEFT_OUT,
    VERDICTS,
    LEARNED,
    RING_LOST,
    MAP_ROWS,
    MAP_CAPACITY,
    PROGRAM_RUNS,
    PROGRAM_TIME,
    MIRRORED,
    LOG_LINES,
    SERIES,
    SERIES_OVERFLOW,
    TRACKED,
    BUILD,
    SCRAPE_FAILED,
];

pub(super) const SCRAPE_FAILED: Metric = gauge(
    "steer_kernel_unreadable",
    &[],
    "1 if the maps could not be read for this scrape, so that figures of the kernel are missing",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
            let own = metric.name.starts_with("steer_") || metric.name.starts_with("istio_");
            assert!(own, "{}", metric.name);
        }
        let mut names = ALL.map(|metric| metric.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
