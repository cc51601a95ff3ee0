//! What an HTTP rule does to requests: retries, faults, headers and the like.

use regex::Regex;

use super::{
    checks::Checks,
    names::{self, changed_header, header_name, header_value, is_authority},
};
use crate::source::istio::{
    CorsPolicy, DirectResponse, Fault, HeaderOperations, Headers, HttpRoute, Redirect, Retries,
    Rewrite, StringMatch,
};

/// A regular expression of RE2, as far as this engine knows its syntax.
pub(super) fn regex(checks: &mut Checks, field: &str, text: &str) {
    if let Err(error) = Regex::new(&format!("^(?:{text})$")) {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        checks.error(
            field,
            format!("the regular expression cannot be used: {reason}"),
            "see RE2's syntax",
        );
    }
}

/// `exact`, `prefix` or `regex`, one of them.
pub(super) fn string_match(checks: &mut Checks, field: &str, value: &StringMatch, is_uri: bool) {
    let given = [&value.exact, &value.prefix, &value.regex];
    if given.iter().filter(|given| given.is_some()).count() > 1 {
        checks.error(
            field,
            "exact, prefix and regex exclude each other",
            "leave one of them",
        );
    }
    if value.prefix.as_deref() == Some("") && !is_uri {
        checks.error(
            format!("{field}.prefix"),
            "an empty prefix fits everything",
            "leave the condition out",
        );
    }
    match value.regex.as_deref() {
        Some("") => checks.error(
            format!("{field}.regex"),
            "an empty regular expression fits nothing but the empty value",
            "write what shall fit, or * for anything",
        ),
        // Istio's way to ask for presence.
        Some("*") | None => {}
        Some(text) => regex(checks, &format!("{field}.regex"), text),
    }
}

/// All that a rule does beside choosing a destination.
pub(super) fn policies(checks: &mut Checks, field: &str, rule: &HttpRoute) {
    if let Some(redirect) = &rule.redirect {
        self::redirect(checks, &format!("{field}.redirect"), redirect, rule);
    }
    if let Some(response) = &rule.direct_response {
        direct_response(checks, &format!("{field}.directResponse"), response);
    }
    if let Some(rewrite) = &rule.rewrite {
        self::rewrite(checks, &format!("{field}.rewrite"), rewrite);
    }
    if let Some(retries) = &rule.retries {
        self::retries(checks, &format!("{field}.retries"), retries);
    }
    if let Some(fault) = &rule.fault {
        self::fault(checks, &format!("{field}.fault"), fault);
    }
    if let Some(policy) = &rule.cors_policy {
        cors(checks, &format!("{field}.corsPolicy"), policy);
    }
    let rewritten = rule
        .rewrite
        .as_ref()
        .and_then(|found| found.authority.as_deref());
    headers(
        checks,
        &format!("{field}.headers"),
        rule.headers.as_ref(),
        rewritten,
    );
    for (index, to) in rule.route.iter().enumerate() {
        let field = format!("{field}.route[{index}].headers");
        headers(checks, &field, to.headers.as_ref(), rewritten);
    }
    checks.duration(&format!("{field}.timeout"), rule.timeout);
}

fn redirect(checks: &mut Checks, field: &str, redirect: &Redirect, rule: &HttpRoute) {
    let says = [
        redirect.uri.is_some(),
        redirect.prefix_rewrite.is_some(),
        redirect.authority.is_some(),
        redirect.scheme.is_some(),
        redirect.port.is_some(),
        redirect.derive_port.is_some(),
        redirect.redirect_code.is_some(),
    ];
    if !says.contains(&true) {
        checks.error(
            field,
            "it does not say where to",
            "give it a uri or an authority",
        );
    }
    if redirect.port.is_some() && redirect.derive_port.is_some() {
        checks.error(
            field,
            "port and derivePort exclude each other",
            "leave one of them",
        );
    }
    if let Some(code) = redirect
        .redirect_code
        .filter(|code| *code != 0 && !(300..400).contains(code))
    {
        checks.error(
            format!("{field}.redirectCode"),
            format!("{code} is not between 300 and 399"),
            "use 301, 302, 303, 307 or 308",
        );
    }
    checks.one_of(
        &format!("{field}.scheme"),
        redirect.scheme.as_deref(),
        &["http", "https"],
    );
    checks.one_of(
        &format!("{field}.derivePort"),
        redirect.derive_port.as_deref(),
        &["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"],
    );
    checks.port(&format!("{field}.port"), redirect.port);
    let other_than_prefix = |uri: &StringMatch| uri.exact.is_some() || uri.regex.is_some();
    let uris = rule.matches.iter().filter_map(|found| found.uri.as_ref());
    if redirect.prefix_rewrite.is_some() && uris.into_iter().any(other_than_prefix) {
        checks.error(
            format!("{field}.prefixRewrite"),
            "there is no prefix to rewrite: the rule matches the uri otherwise",
            "match the uri by prefix",
        );
    }
}

/// Envoy holds the body in memory.
const BODY_WARN_BYTES: usize = 100 << 10;
const BODY_MAX_BYTES: usize = 1 << 20;

fn direct_response(checks: &mut Checks, field: &str, response: &DirectResponse) {
    if let Err(message) = names::http_status(response.status.into()) {
        checks.error(format!("{field}.status"), message, "use a status of HTTP");
    }
    let Some(body) = &response.body else { return };
    let field = format!("{field}.body");
    if body.string.is_some() && body.bytes.is_some() {
        checks.error(
            &field,
            "string and bytes exclude each other",
            "leave one of them",
        );
    }
    let bytes = [&body.string, &body.bytes]
        .into_iter()
        .flatten()
        .map(String::len);
    match bytes.max().unwrap_or_default() {
        size if size > BODY_MAX_BYTES => {
            checks.error(
                &field,
                format!("{size} bytes are too many"),
                "let a server answer",
            );
        }
        size if size > BODY_WARN_BYTES => {
            checks.warn(
                &field,
                format!("{size} bytes are many"),
                "let a server answer",
            );
        }
        _ => {}
    }
}

fn rewrite(checks: &mut Checks, field: &str, rewrite: &Rewrite) {
    if *rewrite == Rewrite::default() {
        checks.error(field, "it says nothing", "give it a uri or an authority");
    }
    let Some(by_regex) = &rewrite.uri_regex_rewrite else {
        return;
    };
    if rewrite.uri.is_some() {
        checks.error(
            field,
            "uri and uriRegexRewrite exclude each other",
            "leave one of them",
        );
    }
    let field = format!("{field}.uriRegexRewrite");
    if by_regex.pattern.is_empty() || by_regex.rewrite.is_empty() {
        checks.error(&field, "it needs match and rewrite", "give it both");
    } else {
        regex(checks, &format!("{field}.match"), &by_regex.pattern);
    }
}

const RETRY_ON: [&str; 15] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
];

fn retries(checks: &mut Checks, field: &str, retries: &Retries) {
    let has_more = retries.per_try_timeout.is_some()
        || retries
            .retry_on
            .as_deref()
            .is_some_and(|text| !text.is_empty())
        || retries.retry_remote_localities.is_some()
        || retries.backoff.is_some();
    if retries.attempts < 0 {
        checks.not_negative(&format!("{field}.attempts"), Some(retries.attempts));
    } else if retries.attempts == 0 && has_more {
        checks.error(
            field,
            "attempts is 0, so nothing else may be said",
            "give it attempts",
        );
    }
    checks.duration(&format!("{field}.perTryTimeout"), retries.per_try_timeout);
    checks.duration(&format!("{field}.backoff"), retries.backoff);
    let conditions = retries.retry_on.as_deref().unwrap_or_default();
    for condition in conditions.split(',').filter(|_| !conditions.is_empty()) {
        let is_status = condition
            .parse()
            .is_ok_and(|status: u16| (100..600).contains(&status));
        if !is_status && condition != "unavailable" && !RETRY_ON.contains(&condition) {
            checks.error(
                format!("{field}.retryOn"),
                format!("{condition:?} is no condition of Envoy's"),
                "see x-envoy-retry-on and x-envoy-retry-grpc-on",
            );
        }
    }
}

const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn fault(checks: &mut Checks, field: &str, fault: &Fault) {
    if fault.delay.is_none() && fault.abort.is_none() {
        checks.error(field, "it says neither delay nor abort", "say one of them");
    }
    if let Some(delay) = &fault.delay {
        let field = format!("{field}.delay");
        checks.percent(&format!("{field}.percent"), delay.percent.map(f64::from));
        checks.percentage(&format!("{field}.percentage"), delay.percentage.as_ref());
        checks.duration(&format!("{field}.fixedDelay"), delay.fixed_delay);
        if delay.exponential_delay.is_some() {
            let field = format!("{field}.exponentialDelay");
            checks.error(field, "Istio does not have it either", "use fixedDelay");
        }
    }
    let Some(abort) = &fault.abort else { return };
    let field = format!("{field}.abort");
    checks.percentage(&format!("{field}.percentage"), abort.percentage.as_ref());
    if let Some(Err(message)) = abort
        .http_status
        .map(|status| names::http_status(status.into()))
    {
        checks.error(
            format!("{field}.httpStatus"),
            message,
            "use a status of HTTP",
        );
    }
    checks.one_of(
        &format!("{field}.grpcStatus"),
        abort.grpc_status.as_deref(),
        &GRPC_STATUS,
    );
    if abort.http2_error.is_some() {
        let field = format!("{field}.http2Error");
        checks.error(field, "Istio does not have it either", "use httpStatus");
    }
}

const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*",
];

fn cors(checks: &mut Checks, field: &str, policy: &CorsPolicy) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let field = format!("{field}.allowOrigins[{index}]");
        if *origin == StringMatch::default() {
            checks.error(&field, "it says nothing", "use exact, prefix or regex");
        }
        string_match(checks, &field, origin, false);
    }
    for (index, method) in policy.allow_methods.iter().enumerate() {
        checks.one_of(
            &format!("{field}.allowMethods[{index}]"),
            Some(method),
            &METHODS,
        );
    }
    let lists = [
        ("allowHeaders", &policy.allow_headers),
        ("exposeHeaders", &policy.expose_headers),
    ];
    for (list, found) in lists {
        for (index, name) in found.iter().enumerate() {
            let field = format!("{field}.{list}[{index}]");
            checks.named(&field, name, header_name(name), "name a header");
        }
    }
    if policy.max_age.is_some_and(|age| !age.is_whole_seconds()) {
        let field = format!("{field}.maxAge");
        checks.error(field, "it is finer than 1s", "use whole seconds");
    } else {
        checks.duration(&format!("{field}.maxAge"), policy.max_age);
    }
    checks.one_of(
        &format!("{field}.unmatchedPreflights"),
        policy.unmatched_preflights.as_deref(),
        &["UNSPECIFIED", "FORWARD", "IGNORE"],
    );
}

fn headers(checks: &mut Checks, field: &str, headers: Option<&Headers>, authority: Option<&str>) {
    let Some(headers) = headers else { return };
    if let Some(request) = &headers.request {
        operations(checks, &format!("{field}.request"), request, true);
        let set = request.set.keys().chain(request.add.keys());
        let times = set.filter(|name| is_authority(name)).count();
        if times + usize::from(authority.is_some()) > 1 {
            checks.error(
                format!("{field}.request"),
                "the authority is set several times",
                "set it once, here or in rewrite",
            );
        }
    }
    if let Some(response) = &headers.response {
        operations(checks, &format!("{field}.response"), response, false);
    }
}

fn operations(checks: &mut Checks, field: &str, found: &HeaderOperations, is_request: bool) {
    const HELP: &str = "name a header that may be changed";
    for (what, values) in [("set", &found.set), ("add", &found.add)] {
        for (name, value) in values {
            let field = format!("{field}.{what}.{name}");
            checks.named(&field, name, changed_header(name, is_request), HELP);
            checks.named(
                &field,
                value,
                header_value(value),
                "see Envoy's command operators",
            );
        }
    }
    for (index, name) in found.remove.iter().enumerate() {
        let field = format!("{field}.remove[{index}]");
        checks.named(&field, name, changed_header(name, false), HELP);
    }
}
