//! `http[]` of a VirtualService: what it matches and which action it takes.

use std::collections::BTreeMap;

use super::{
    checks::Checks,
    destinations::{destination, destinations},
    gateways,
    http_policy::{policies, string_match},
    names::header_name,
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
            string_match(checks, &format!("{field}.{name}"), value, name == "uri");
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
            string_match(checks, &field, value, false);
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
