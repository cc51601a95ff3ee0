//! What an HTTP rule does to requests: retries, faults, headers and the like.

use super::{
    checks::Checks,
    fault,
    headers::{authority, headers},
    names::{self, header_token},
    string_match::{Allow, regex, string_match},
};
use crate::source::istio::{
    CorsPolicy, DirectResponse, HttpRoute, Redirect, Retries, Rewrite, StringMatch,
};

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
        fault::fault(checks, &format!("{field}.fault"), fault);
    }
    if let Some(policy) = &rule.cors_policy {
        cors(checks, &format!("{field}.corsPolicy"), policy);
    }
    headers(checks, &format!("{field}.headers"), rule.headers.as_ref());
    authority(checks, field, rule);
    for (index, to) in rule.route.iter().enumerate() {
        let field = format!("{field}.route[{index}].headers");
        headers(checks, &field, to.headers.as_ref());
    }
    checks.duration(&format!("{field}.timeout"), rule.timeout);
}

fn redirect(checks: &mut Checks, field: &str, redirect: &Redirect, rule: &HttpRoute) {
    let says = [
        is_given(redirect.uri.as_ref()),
        is_given(redirect.prefix_rewrite.as_ref()),
        is_given(redirect.authority.as_ref()),
        is_given(redirect.scheme.as_ref()),
        redirect.port.is_some(),
        redirect.derive_port.is_some(),
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
        &["http", "https", ""],
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
    if !is_given(rewrite.uri.as_ref())
        && !is_given(rewrite.authority.as_ref())
        && rewrite.uri_regex_rewrite.is_none()
    {
        checks.error(field, "it says nothing", "give it a uri or an authority");
    }
    let Some(by_regex) = &rewrite.uri_regex_rewrite else {
        return;
    };
    if is_given(rewrite.uri.as_ref()) {
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

const RETRY_ON: [&str; 16] = [
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
    "unavailable",
];

/// Statuses that have a meaning (IANA's registry of HTTP statuses).
fn is_status(text: &str) -> bool {
    let is_known = |status: u16| {
        matches!(status,
            100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426
            | 428 | 429 | 431 | 451 | 500..=508 | 510 | 511)
    };
    text.parse().is_ok_and(is_known)
}

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
        if !is_status(condition) && !RETRY_ON.contains(&condition) {
            checks.error(
                format!("{field}.retryOn"),
                format!("{condition:?} is no condition of Envoy's"),
                "see x-envoy-retry-on and x-envoy-retry-grpc-on",
            );
        }
    }
}

const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*",
];

fn cors(checks: &mut Checks, field: &str, policy: &CorsPolicy) {
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let field = format!("{field}.allowOrigins[{index}]");
        let texts = [&origin.exact, &origin.prefix, &origin.regex];
        if texts.into_iter().flatten().all(String::is_empty) {
            checks.error(&field, "it says nothing", "use exact, prefix or regex");
            continue;
        }
        string_match(checks, &field, origin, Allow::Plain);
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
            checks.named(&field, name, header_token(name), "name a header");
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

/// Whether a text is there and says something.
pub(super) fn is_given(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    #[test]
    fn retries_that_mean_something() {
        let found = |value: Value| fields(retries, value);
        assert!(found(json!({"attempts": 0})).is_empty());
        let fine = json!({"attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx,429,reset"});
        assert!(found(fine).is_empty());
        assert_eq!(found(json!({"attempts": -1})), ["attempts"]);
        assert_eq!(found(json!({"retryOn": "5xx"})), ["x"]);
        assert_eq!(found(json!({"backoff": "25ms"})), ["x"]);
        let wrong = json!({"attempts": 1, "perTryTimeout": "1us", "backoff": "1.0000001s"});
        assert_eq!(found(wrong), ["perTryTimeout", "backoff"]);
        let wrong = json!({"attempts": 1, "retryOn": "5xx, reset,419"});
        assert_eq!(found(wrong), ["retryOn", "retryOn"]);
    }

    #[test]
    fn rewrites_change_something() {
        let found = |value: Value| fields(rewrite, value);
        assert_eq!(found(json!({"uri": ""})), ["x"]);
        assert!(found(json!({"authority": "a"})).is_empty());
        let by_regex = json!({"match": "/(a", "rewrite": "/b"});
        let wrong = json!({"uri": "/", "uriRegexRewrite": by_regex});
        assert_eq!(found(wrong), ["x", "uriRegexRewrite.match"]);
        let wrong = json!({"uriRegexRewrite": {"match": "/a"}});
        assert_eq!(found(wrong), ["uriRegexRewrite"]);
    }

    #[test]
    fn redirects_lead_elsewhere() {
        let found = |value: Value| {
            let rule = HttpRoute::default();
            let check = |checks: &mut Checks, field: &str, found: &Redirect| {
                redirect(checks, field, found, &rule);
            };
            fields(check, value)
        };
        assert!(found(json!({"uri": "/a", "scheme": "", "redirectCode": 302})).is_empty());
        assert!(found(json!({"derivePort": "FROM_REQUEST_PORT"})).is_empty());
        assert_eq!(found(json!({"redirectCode": 302})), ["x"]);
        let wrong = json!({"redirectCode": 200, "scheme": "ftp", "port": 65_536});
        assert_eq!(found(wrong), ["redirectCode", "scheme", "port"]);
        let wrong = json!({"port": 80, "derivePort": "SOME"});
        assert_eq!(found(wrong), ["x", "derivePort"]);
    }

    #[test]
    fn a_prefix_is_replaced_where_one_is_asked_for() {
        let rule =
            |uri: Value| json!({"match": [{"uri": uri}], "redirect": {"prefixRewrite": "/b"}});
        assert!(fields(policies, rule(json!({"prefix": "/a"}))).is_empty());
        let wrong = rule(json!({"exact": "/a"}));
        assert_eq!(fields(policies, wrong), ["redirect.prefixRewrite"]);
    }

    #[test]
    fn answers_end_requests_and_are_small() {
        let found = |value: Value| fields(direct_response, value);
        assert!(found(json!({"status": 503})).is_empty());
        assert_eq!(found(json!({"status": 100})), ["status"]);
        for (size, expected) in [(100 << 10, 0), ((100 << 10) + 1, 1), ((1 << 20) + 1, 1)] {
            let answer = json!({"status": 200, "body": {"string": "a".repeat(size)}});
            assert_eq!(found(answer).len(), expected, "{size}");
        }
        let wrong = json!({"status": 200, "body": {"string": "a", "bytes": "b"}});
        assert_eq!(found(wrong), ["body"]);
    }

    #[test]
    fn cors_names_origins_methods_and_headers() {
        let fine = json!({
            "allowOrigins": [{"prefix": "https://"}], "allowMethods": ["GET", "*"],
            "allowHeaders": ["*"], "exposeHeaders": ["x-a"], "maxAge": "24h",
        });
        assert!(fields(cors, fine).is_empty());
        let wrong = json!({
            "allowOrigins": [{}, {"exact": ""}, {"regex": "("}], "allowMethods": ["get"],
            "allowHeaders": [":path"], "maxAge": "1500ms",
        });
        let expected = [
            "allowOrigins[0]",
            "allowOrigins[1]",
            "allowOrigins[2].regex",
            "allowMethods[0]",
            "allowHeaders[0]",
            "maxAge",
        ];
        assert_eq!(fields(cors, wrong), expected);
    }
}
