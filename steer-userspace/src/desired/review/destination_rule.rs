//! DestinationRules: hosts that do not exist, subsets that select nothing, policies that are not
//! enforced.

use std::collections::BTreeSet;

use crate::{
    desired::{codes, host, registry::Host, report::Report, route::World, unenforced},
    source::{
        Object,
        istio::{DestinationRule, Subset, TrafficPolicy},
    },
};

pub(super) fn review(
    world: World<'_>,
    object: &Object<DestinationRule>,
    consulted: &mut BTreeSet<String>,
    report: &mut Report,
) {
    let spec = &object.spec;
    let name = host::full_name(&spec.host, &object.meta.namespace, &world.settings.domain);
    consulted.insert(name.clone());
    if world.registry.fitting(&name).is_empty() {
        let message = format!("the host {name} is not in the registry");
        let help = "name a service of this namespace, or a fully qualified one";
        report.add(object, "spec.host", codes::RULE_HOST_UNKNOWN, message, help);
    }
    if let Some(policy) = &spec.traffic_policy {
        traffic_policy(object, "spec.trafficPolicy", policy, report);
    }
    let service = world.registry.host(&name);
    for (index, subset) in spec.subsets.iter().enumerate() {
        let field = format!("spec.subsets[{index}]");
        if service.is_some_and(|service| !selects_any(service, subset)) {
            let message = format!(
                "the subset {} selects no endpoint of {name}: connections to it are refused",
                subset.name
            );
            let help = "compare its labels with those of the pods";
            report.add(
                object,
                &format!("{field}.labels"),
                codes::EMPTY_SUBSET,
                message,
                help,
            );
        }
        if let Some(policy) = &subset.traffic_policy {
            traffic_policy(object, &format!("{field}.trafficPolicy"), policy, report);
        }
    }
}

fn selects_any(service: &Host, subset: &Subset) -> bool {
    let mut candidates = service.ports.iter().flat_map(|port| &port.candidates);
    subset.labels.is_empty() || candidates.any(|candidate| candidate.has(&subset.labels))
}

fn traffic_policy(
    object: &Object<DestinationRule>,
    field: &str,
    policy: &TrafficPolicy,
    report: &mut Report,
) {
    for (part, message) in unenforced::policy_fields(policy) {
        let help = "leave it out, or know that it has no effect here";
        let field = format!("{field}.{part}");
        let message = format!("{field} is not enforced: {message}");
        report.add(object, &field, codes::NOT_ENFORCED, message, help);
    }
}
