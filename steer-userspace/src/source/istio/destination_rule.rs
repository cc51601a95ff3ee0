//! DestinationRule: the subsets of a host, and how to balance over them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::TrafficPolicy;
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

/// `workloadSelector`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// All must hold.
    pub match_labels: BTreeMap<String, String>,
}
