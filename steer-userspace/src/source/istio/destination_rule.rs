//! DestinationRule: the subsets of a host, and how to balance over them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::source::object::Kind;

/// `DestinationRule.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    /// The host it is about.
    pub host: String,
    /// For all subsets.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named parts of the host's endpoints.
    pub subsets: Vec<Subset>,
    /// Who may see it; empty means everyone.
    pub export_to: Vec<String>,
    /// Which clients of its own namespace it holds for.
    pub workload_selector: Option<WorkloadSelector>,
}

impl Kind for DestinationRule {
    const KIND: &'static str = "DestinationRule";
}

/// `subsets[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Its name, unique in the rule.
    pub name: String,
    /// Which endpoints; empty means all of them.
    pub labels: BTreeMap<String, String>,
    /// Overrides the rule's, field by field.
    pub traffic_policy: Option<TrafficPolicy>,
}

/// `trafficPolicy`. What is not enforced is kept as it was written, so that findings can name it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<Value>,
    /// Ejection.
    pub outlier_detection: Option<Value>,
    /// Encryption.
    pub tls: Option<Value>,
    /// The above for one port.
    pub port_level_settings: Option<Vec<Value>>,
    /// HTTP CONNECT.
    pub tunnel: Option<Value>,
    /// PROXY protocol.
    pub proxy_protocol: Option<Value>,
    /// Budget of retries.
    pub retry_budget: Option<Value>,
}

/// `loadBalancer`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// LEAST_REQUEST, ROUND_ROBIN, RANDOM, LEAST_CONN, PASSTHROUGH, UNSPECIFIED.
    pub simple: Option<String>,
    /// By a hash of the request.
    pub consistent_hash: Option<Value>,
    /// By locality.
    pub locality_lb_setting: Option<Value>,
    /// By zone.
    pub zone_aware_lb_setting: Option<Value>,
    /// Slow start.
    pub warmup_duration_secs: Option<Value>,
    /// Slow start, newer.
    pub warmup: Option<Value>,
}

/// `workloadSelector`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// All must hold.
    pub match_labels: BTreeMap<String, String>,
}
