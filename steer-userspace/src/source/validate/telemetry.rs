//! Telemetry, as Istio's webhook sees it.

use super::checks::Checks;
use crate::source::{
    istio::{AccessLogging, TargetRef, Telemetry, Tracing},
    object::Meta,
};

/// What is wrong with a Telemetry.
pub fn telemetry(_: &Meta, spec: &Telemetry) -> Checks {
    let mut checks = Checks::default();
    if let Some(selector) = &spec.selector {
        let field = "spec.selector.matchLabels";
        checks.labels(field, &selector.match_labels);
        if selector.match_labels.is_empty() {
            checks.warn(field, "it selects every workload", "leave it out");
        }
    }
    targets(&mut checks, spec);
    for (index, found) in spec.access_logging.iter().enumerate() {
        logging(&mut checks, &format!("spec.accessLogging[{index}]"), found);
    }
    if spec.tracing.len() > 1 {
        let message = "multiple tracing is not supported";
        checks.warn("spec.tracing", message, "leave the first one");
    }
    for (index, found) in spec.tracing.iter().enumerate() {
        tracing(&mut checks, &format!("spec.tracing[{index}]"), found);
    }
    checks
}

fn targets(checks: &mut Checks, spec: &Telemetry) {
    let several = spec.target_refs.iter().enumerate();
    let several = several.map(|(index, one)| (format!("spec.targetRefs[{index}]"), one));
    let single = spec.target_ref.iter();
    let all: Vec<_> = single
        .map(|one| ("spec.targetRef".to_owned(), one))
        .chain(several)
        .collect();
    if spec.target_ref.is_some() && !spec.target_refs.is_empty() {
        let message = "only one of targetRef and targetRefs may be set";
        checks.error("spec.targetRef", message, "use targetRefs");
    }
    if spec.selector.is_some() && !all.is_empty() {
        let message = "only one of selector and targetRefs may be set";
        checks.error("spec.selector", message, "leave one of them out");
    }
    for (field, one) in all {
        target(checks, &field, one);
    }
}

fn target(checks: &mut Checks, field: &str, target: &TargetRef) {
    for (name, value) in [("kind", &target.kind), ("name", &target.name)] {
        if value.is_empty() {
            checks.error(format!("{field}.{name}"), "it is missing", "write it");
        }
    }
    if target.namespace.as_ref().is_some_and(|it| !it.is_empty()) {
        let field = format!("{field}.namespace");
        let message = "targetRef namespace must not be set";
        checks.error(field, message, "it is that of the Telemetry");
    }
}

fn logging(checks: &mut Checks, field: &str, found: &AccessLogging) {
    let mode = found.matches.as_ref().and_then(|it| it.mode.as_deref());
    let modes = ["CLIENT_AND_SERVER", "CLIENT", "SERVER"];
    checks.one_of(&format!("{field}.match.mode"), mode, &modes);
    for (index, provider) in found.providers.iter().enumerate() {
        if provider.name.is_empty() {
            let field = format!("{field}.providers[{index}].name");
            checks.error(field, "a name is missing", "envoy writes lines");
        }
    }
}

fn tracing(checks: &mut Checks, field: &str, found: &Tracing) {
    if found.providers.len() > 1 {
        let field = format!("{field}.providers");
        let message = "multiple providers are not supported";
        checks.warn(field, message, "leave the first one");
    }
    for (tag, _) in found
        .custom_tags
        .iter()
        .filter(|(_, value)| value.is_null())
    {
        let message = format!("tag '{tag}' may not have a nil value");
        checks.error(format!("{field}.customTags.{tag}"), message, "give it one");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::verdict, *};

    fn of(spec: Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).unwrap();
        verdict(&telemetry(&Meta::default(), &spec)).0
    }

    #[test]
    fn a_mode_is_one_of_three_words() {
        let mode = |mode: &str| of(json!({"accessLogging": [{"match": {"mode": mode}}]}));
        for known in ["CLIENT_AND_SERVER", "CLIENT", "SERVER"] {
            assert!(mode(known).is_empty(), "{known}");
        }
        assert_eq!(mode("server"), ["spec.accessLogging[0].match.mode"]);
    }

    #[test]
    fn providers_have_names() {
        let spec = json!({"accessLogging": [{"providers": [{"name": "envoy"}, {}]}]});
        assert_eq!(of(spec), ["spec.accessLogging[0].providers[1].name"]);
    }

    #[test]
    fn one_is_for_labels_or_for_targets() {
        let target = json!({"kind": "Gateway", "name": "a"});
        let selector = json!({"matchLabels": {"app": "a"}});
        assert!(of(json!({"targetRefs": [target]})).is_empty());
        let both = json!({"targetRefs": [target], "selector": selector});
        assert_eq!(of(both), ["spec.selector"]);
        let twice = json!({"targetRefs": [target], "targetRef": target});
        assert_eq!(of(twice), ["spec.targetRef"]);
        let elsewhere = json!({"targetRef": {"kind": "Gateway", "name": "a", "namespace": "b"}});
        assert_eq!(of(elsewhere), ["spec.targetRef.namespace"]);
        assert_eq!(
            of(json!({"targetRef": {}})),
            ["spec.targetRef.kind", "spec.targetRef.name"]
        );
    }

    #[test]
    fn tags_have_values() {
        let spec = json!({"tracing": [{"customTags": {"a": null, "b": {}}}]});
        assert_eq!(of(spec), ["spec.tracing[0].customTags.a"]);
    }
}
