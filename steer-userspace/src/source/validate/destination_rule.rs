//! DestinationRule, as Istio's webhook sees it.

use std::collections::BTreeSet;

use super::{checks::Checks, names::is_domain_part, traffic_policy::traffic_policy};
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
        } else if !is_domain_part(&subset.name) {
            let message = format!("{:?} is not the name of a subset", subset.name);
            checks.error(name, message, "use letters, digits and -");
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::of_destination_rule;

    #[test]
    fn hosts_are_names_or_patterns() {
        for host in [
            "catalog",
            "catalog.shop.svc.cluster.local",
            "*.example",
            "*",
        ] {
            assert!(
                of_destination_rule(json!({"host": host})).0.is_empty(),
                "{host}"
            );
        }
        for host in ["", "a b", "a.*.b"] {
            assert_eq!(
                of_destination_rule(json!({"host": host})).0,
                ["spec.host"],
                "{host}"
            );
        }
    }

    #[test]
    fn subsets_have_names_of_their_own() {
        let subsets = json!([
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "V-2", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}},
            {"name": "v1"}, {"name": ""}, {"name": "v3", "labels": {"a b": "c"}},
            {"name": "v4", "trafficPolicy": {}},
        ]);
        let fields = [
            "spec.subsets[2].name",
            "spec.subsets[3].name",
            "spec.subsets[4].labels.a b",
            "spec.subsets[5].trafficPolicy",
        ];
        let (errors, _) = of_destination_rule(json!({"host": "catalog", "subsets": subsets}));
        assert_eq!(errors, fields);
    }

    #[test]
    fn one_that_selects_clients_stays_at_home() {
        let errors = |export_to: Value| {
            let selector = json!({"matchLabels": {"app": "web"}});
            let spec = json!({"host": "a", "exportTo": export_to, "workloadSelector": selector});
            of_destination_rule(spec).0.len()
        };
        assert_eq!(
            errors(json!([])) + errors(json!(["."])) + errors(json!(["shop"])),
            0
        );
        assert_eq!(errors(json!(["*"])), 1);
        assert_eq!(errors(json!([".", "other"])), 1);
        assert_eq!(errors(json!([".", "shop"])), 1);
    }

    #[test]
    fn a_selector_of_everyone_is_told() {
        let (errors, warnings) = of_destination_rule(json!({"host": "a", "workloadSelector": {}}));
        assert!(errors.is_empty());
        assert_eq!(warnings, ["spec.workloadSelector"]);
    }
}
