//! DestinationRule, as Istio's webhook sees it.

use std::collections::BTreeSet;

use super::checks::{Checks, is_label};
use crate::{
    finding::Finding,
    source::{
        istio::{DestinationRule, LoadBalancer, TrafficPolicy},
        object::Object,
    },
};

/// What is wrong with a DestinationRule.
pub fn destination_rule(object: &Object<DestinationRule>) -> Vec<Finding> {
    let mut checks = Checks::new(object);
    let spec = &object.spec;
    checks.host("spec.host", &spec.host, true);
    if let Some(policy) = &spec.traffic_policy {
        traffic_policy(&mut checks, "spec.trafficPolicy", policy);
    }
    let mut names = BTreeSet::new();
    for (index, subset) in spec.subsets.iter().enumerate() {
        let field = format!("spec.subsets[{index}]");
        if !is_label(&subset.name) {
            let message = format!("{:?} is not a name of a subset", subset.name);
            checks.error(
                format!("{field}.name"),
                message,
                "use lower-case letters, digits and -",
            );
        } else if !names.insert(&subset.name) {
            let message = format!("the subset {} is there twice", subset.name);
            checks.error(
                format!("{field}.name"),
                message,
                "give each subset a name of its own",
            );
        }
        checks.labels(&format!("{field}.labels"), &subset.labels);
        if let Some(policy) = &subset.traffic_policy {
            traffic_policy(&mut checks, &format!("{field}.trafficPolicy"), policy);
        }
    }
    checks.export_to(&spec.export_to, &object.meta.namespace);
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
    checks.finish()
}

fn traffic_policy(checks: &mut Checks<'_, DestinationRule>, field: &str, policy: &TrafficPolicy) {
    if *policy == TrafficPolicy::default() {
        return checks.error(field, "it says nothing", "leave it out");
    }
    if let Some(balancer) = &policy.load_balancer {
        load_balancer(checks, &format!("{field}.loadBalancer"), balancer);
    }
}

const SIMPLE: [&str; 6] = [
    "UNSPECIFIED",
    "LEAST_CONN",
    "RANDOM",
    "PASSTHROUGH",
    "ROUND_ROBIN",
    "LEAST_REQUEST",
];

fn load_balancer(checks: &mut Checks<'_, DestinationRule>, field: &str, balancer: &LoadBalancer) {
    if let Some(simple) = &balancer.simple
        && !SIMPLE.contains(&simple.as_str())
    {
        let message = format!("{simple} is not a way to balance");
        checks.error(
            format!("{field}.simple"),
            message,
            "use LEAST_REQUEST, ROUND_ROBIN or RANDOM",
        );
    }
    if balancer.simple.is_some() && balancer.consistent_hash.is_some() {
        checks.error(
            field,
            "simple and consistentHash exclude each other",
            "leave one of them",
        );
    }
}
