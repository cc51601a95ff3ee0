//! DestinationRule, as Istio's webhook sees it.

use std::collections::BTreeSet;

use super::{checks::Checks, names::is_label, traffic_policy::traffic_policy};
use crate::source::{istio::DestinationRule, object::Meta};

/// What is wrong with a DestinationRule.
pub fn destination_rule(meta: &Meta, spec: &DestinationRule) -> Checks {
    let mut checks = Checks::default();
    checks.host("spec.host", &spec.host);
    if let Some(policy) = &spec.traffic_policy {
        traffic_policy(&mut checks, "spec.trafficPolicy", policy);
    }
    subsets(&mut checks, spec);
    let has_selector = spec.workload_selector.is_some();
    checks.export_to(&spec.export_to, &meta.namespace, has_selector);
    if let Some(selector) = &spec.workload_selector {
        if selector.match_labels.is_empty() {
            checks.warn(
                "spec.workloadSelector",
                "it selects every workload",
                "leave it out, or name labels",
            );
        }
        checks.labels("spec.workloadSelector.matchLabels", &selector.match_labels);
    }
    checks
}

fn subsets(checks: &mut Checks, spec: &DestinationRule) {
    let mut names = BTreeSet::new();
    for (index, subset) in spec.subsets.iter().enumerate() {
        let field = format!("spec.subsets[{index}]");
        let name = format!("{field}.name");
        if subset.name.is_empty() {
            checks.error(name, "the subset has no name", "name it");
        } else if !is_label(&subset.name) {
            let message = format!("{:?} is not the name of a subset", subset.name);
            checks.error(name, message, "use lower-case letters, digits and -");
        } else if !names.insert(&subset.name) {
            let message = format!("the subset {} is there twice", subset.name);
            checks.error(name, message, "give each subset a name of its own");
        }
        checks.labels(&format!("{field}.labels"), &subset.labels);
        if let Some(policy) = &subset.traffic_policy {
            traffic_policy(checks, &format!("{field}.trafficPolicy"), policy);
        }
    }
}
