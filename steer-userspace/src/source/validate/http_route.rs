//! `http[]` of a VirtualService: what it matches and which action it takes.

use std::collections::BTreeMap;

use super::{
    checks::Checks,
    destinations::{destination, destinations},
    gateways,
    http_policy::policies,
    names::header_name,
    string_match::{Allow, string_match},
};
use crate::source::istio::{HttpMatch, HttpRoute, StringMatch};

/// Where a rule stands: a delegate's rules may not delegate again, and only gateways check tokens.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) is_delegate: bool,
    pub(super) gateways: &'a [String],
}

pub(super) fn http_route(checks: &mut Checks, field: &str, rule: &HttpRoute, scope: Scope<'_>) {
    action(checks, field, rule, scope.is_delegate);
    for (index, found) in rule.matches.iter().enumerate() {
        http_match(checks, &format!("{field}.match[{index}]"), found, scope);
    }
    policies(checks, field, rule);
    mirrors(checks, field, rule);
    let route: Vec<_> = rule
        .route
        .iter()
        .map(|to| (&to.destination, to.weight))
        .collect();
    destinations(checks, field, &route);
}

/// Exactly one of route, redirect, directResponse and delegate.
fn action(checks: &mut Checks, field: &str, rule: &HttpRoute, is_delegate: bool) {
    let actions = [
        ("route", !rule.route.is_empty()),
        ("redirect", rule.redirect.is_some()),
        ("directResponse", rule.direct_response.is_some()),
        ("delegate", rule.delegate.is_some()),
    ];
    let named: Vec<&str> = actions
        .iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| *name)
        .collect();
    match named.as_slice() {
        [] => checks.error(
            field,
            "it says neither route, redirect, directResponse nor delegate",
            "say where requests go",
        ),
        [_] => {}
        several => checks.error(
            field,
            format!("{} exclude each other", several.join(" and ")),
            "leave one of them",
        ),
    }
    if let Some(delegate) = &rule.delegate {
        let field = format!("{field}.delegate");
        if is_delegate {
            checks.error(&field, "a delegate cannot delegate again", "route here");
        }
        if delegate.name.is_empty() {
            checks.error(
                &field,
                "it has no name",
                "name a VirtualService without hosts",
            );
        }
        checks.namespace(&format!("{field}.namespace"), delegate.namespace.as_deref());
    }
    let answers = rule.redirect.is_some() || rule.direct_response.is_some();
    if answers && (rule.fault.is_some() || rule.rewrite.is_some()) {
        checks.error(
            field,
            "redirect and directResponse exclude fault and rewrite",
            "remove them",
        );
    }
}

fn http_match(checks: &mut Checks, field: &str, found: &HttpMatch, scope: Scope<'_>) {
    let strings = [
        ("uri", &found.uri),
        ("scheme", &found.scheme),
        ("method", &found.method),
        ("authority", &found.authority),
    ];
    for (name, value) in strings {
        if let Some(value) = value {
            let allow = if name == "uri" {
                Allow::EmptyPrefix
            } else {
                Allow::Plain
            };
            string_match(checks, &format!("{field}.{name}"), value, allow);
        }
    }
    let bound_to = if found.gateways.is_empty() {
        scope.gateways
    } else {
        &found.gateways
    };
    let maps: [(&str, &BTreeMap<String, StringMatch>); 3] = [
        ("headers", &found.headers),
        ("withoutHeaders", &found.without_headers),
        ("queryParams", &found.query_params),
    ];
    for (name, values) in maps {
        for (key, value) in values {
            let field = format!("{field}.{name}.{key}");
            if name == "queryParams" {
                if key.is_empty() {
                    checks.error(&field, "a name is missing", "name a parameter");
                }
            } else {
                header_key(checks, &field, key, bound_to);
            }
            let allow = if name == "withoutHeaders" {
                Allow::Presence
            } else {
                Allow::Plain
            };
            string_match(checks, &field, value, allow);
        }
    }
    checks.port(&format!("{field}.port"), found.port);
    checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
    checks.namespace(
        &format!("{field}.sourceNamespace"),
        found.source_namespace.as_deref(),
    );
    gateways::names(checks, &format!("{field}.gateways"), &found.gateways);
}

/// The name of a header, or `@request.auth.claims.x`: a claim of a token that a gateway checked.
fn header_key(checks: &mut Checks, field: &str, key: &str, gateways: &[String]) {
    let Some(claim) = key.strip_prefix("@request.auth.") else {
        return checks.named(field, key, header_name(key), "name a header");
    };
    if claim.is_empty() {
        checks.error(field, "a claim is missing", "name a claim");
    } else if gateways::reaches_mesh(gateways) {
        checks.error(
            field,
            "claims of tokens are known to gateways only",
            "bind the VirtualService to gateways, not to mesh",
        );
    }
}

fn mirrors(checks: &mut Checks, field: &str, rule: &HttpRoute) {
    let several = rule.mirrors.as_deref().unwrap_or_default();
    if rule.mirror.is_some() && !several.is_empty() {
        checks.error(
            format!("{field}.mirrors"),
            "mirror and mirrors exclude each other",
            "use mirrors",
        );
    }
    if let Some(mirror) = &rule.mirror {
        destination(checks, &format!("{field}.mirror"), mirror);
    }
    for (index, mirror) in several.iter().enumerate() {
        let field = format!("{field}.mirrors[{index}]");
        destination(checks, &format!("{field}.destination"), &mirror.destination);
        checks.percentage(&format!("{field}.percentage"), mirror.percentage.as_ref());
    }
    checks.percentage(
        &format!("{field}.mirrorPercentage"),
        rule.mirror_percentage.as_ref(),
    );
    if let Some(percent) = rule.mirror_percent {
        let field = format!("{field}.mirrorPercent");
        checks.percent(&field, Some(percent.into()));
        checks.warn(&field, "it is deprecated", "use mirrorPercentage.value");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::of_virtual_service;

    /// Refused fields, below `spec.http[0]`, of a rule of `spec`.
    fn errors(mut spec: Value, rule: Value) -> Vec<String> {
        spec["http"] = Value::Array(vec![rule]);
        let (errors, _) = of_virtual_service(spec);
        let below = |field: String| field.replace("spec.http[0]", "");
        let fields = errors.into_iter().map(below);
        fields
            .map(|field| field.trim_start_matches('.').to_owned())
            .collect()
    }

    fn on_mesh(rule: Value) -> Vec<String> {
        errors(json!({"hosts": ["catalog"]}), rule)
    }

    #[test]
    fn a_rule_does_one_thing() {
        let route = json!([{"destination": {"host": "catalog"}}]);
        assert!(on_mesh(json!({"route": route})).is_empty());
        assert_eq!(on_mesh(json!({})), [""]);
        assert_eq!(
            on_mesh(json!({"route": route, "redirect": {"uri": "/"}})),
            [""]
        );
        assert_eq!(
            on_mesh(json!({"route": route, "delegate": {"name": "a"}})),
            [""]
        );
        let wrong = json!({"redirect": {"uri": "/"}, "rewrite": {"uri": "/"}});
        assert_eq!(on_mesh(wrong), [""]);
        let delegate = json!({"delegate": {"name": "a"}});
        assert!(on_mesh(delegate.clone()).is_empty());
        assert_eq!(errors(json!({}), delegate), ["delegate"]);
    }

    #[test]
    fn conditions_can_be_compared() {
        let rule = |found: Value| {
            let route = json!([{"destination": {"host": "catalog"}}]);
            on_mesh(json!({"match": [found], "route": route}))
        };
        assert!(rule(json!({"uri": {"prefix": ""}, "sourceNamespace": ""})).is_empty());
        assert!(rule(json!({"withoutHeaders": {"x": {"regex": "*"}}})).is_empty());
        assert_eq!(
            rule(json!({"headers": {"x": {"regex": "*"}}})),
            ["match[0].headers.x.regex"]
        );
        assert_eq!(
            rule(json!({"method": {"prefix": ""}})),
            ["match[0].method.prefix"]
        );
        assert_eq!(rule(json!({"headers": {"": {}}})), ["match[0].headers."]);
        let wrong =
            json!({"queryParams": {"q": {"regex": "("}}, "gateways": ["a/b/c"], "port": 70_000});
        let fields = [
            "match[0].queryParams.q.regex",
            "match[0].port",
            "match[0].gateways[0]",
        ];
        assert_eq!(rule(wrong), fields);
        let wrong = json!({"sourceLabels": {"a b": "c"}, "sourceNamespace": "a.b"});
        assert_eq!(
            rule(wrong),
            ["match[0].sourceLabels.a b", "match[0].sourceNamespace"]
        );
    }

    #[test]
    fn claims_are_known_to_gateways() {
        let rule = json!({
            "match": [{"headers": {"@request.auth.claims.sub": {"exact": "a"}}}],
            "route": [{"destination": {"host": "catalog"}}],
        });
        assert_eq!(on_mesh(rule.clone()).len(), 1);
        let edge = json!({"hosts": ["catalog"], "gateways": ["edge"]});
        assert!(errors(edge, rule.clone()).is_empty());
        let both = json!({"hosts": ["catalog"], "gateways": ["edge", "mesh"]});
        assert_eq!(errors(both, rule).len(), 1);
    }

    #[test]
    fn mirrors_have_a_share() {
        let route = json!([{"destination": {"host": "catalog"}}]);
        let wrong = json!({
            "route": route, "mirror": {"host": "copy"}, "mirrorPercentage": {"value": -1},
            "mirrors": [{"destination": {"host": "*a*"}, "percentage": {"value": 101}}],
        });
        let fields = [
            "mirrors",
            "mirrors[0].destination.host",
            "mirrors[0].percentage.value",
            "mirrorPercentage.value",
        ];
        assert_eq!(on_mesh(wrong), fields);
        let old = json!({"route": route, "mirror": {"host": "copy"}, "mirrorPercent": 101});
        assert_eq!(on_mesh(old), ["mirrorPercent"]);
    }
}
