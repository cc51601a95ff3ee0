//! The fields of `http` rules and traffic policies that are read and not enforced.

use crate::source::istio::{ClientTls, CorsPolicy, Duration, Headers, HttpRoute, TrafficPolicy};

/// Whether a rule does something to requests, whoever they are.
pub fn takes_requests(route: &HttpRoute) -> bool {
    let lasts = |timeout: &Duration| timeout.nanos != 0;
    route.rewrite.is_some()
        || route.timeout.as_ref().is_some_and(lasts)
        || route.retries.as_ref().is_some_and(|one| one.attempts != 0)
        || route.fault.is_some()
        || route.headers.is_some()
        || route.redirect.is_some()
        || route.direct_response.is_some()
        || route.cors_policy.as_ref().is_some_and(CorsPolicy::is_some)
        || route.route.iter().any(|to| to.headers.is_some())
}

/// Whether copies of requests are made.
pub fn is_copied(route: &HttpRoute) -> bool {
    !route.copies().is_empty()
}

/// The fields of a rule that are not enforced, and what is done instead.
pub fn rule_fields(route: &HttpRoute) -> Vec<(String, &'static str)> {
    let retries = route.retries.as_ref();
    let delay = route.fault.as_ref().and_then(|fault| fault.delay.as_ref());
    let abort = route.fault.as_ref().and_then(|fault| fault.abort.as_ref());
    let fields = [
        (
            "retries.retryRemoteLocalities",
            retries.is_some_and(|found| found.retry_remote_localities.is_some()),
            "endpoints take turns, wherever they are",
        ),
        (
            "retries.retryIgnorePreviousHosts",
            retries.is_some_and(|found| found.retry_ignore_previous_hosts == Some(false)),
            "another endpoint is tried, if there is one",
        ),
        (
            "fault.delay.exponentialDelay",
            delay.is_some_and(|found| found.exponential_delay.is_some()),
            "nothing is delayed by it, nor is it in Istio",
        ),
        (
            "fault.abort.http2Error",
            abort.is_some_and(|found| found.http2_error.is_some()),
            "nothing is aborted by it, nor is it in Istio",
        ),
    ];
    let asked = fields.into_iter().filter(|(_, asked, _)| *asked);
    let mut fields: Vec<_> = asked
        .map(|(field, _, instead)| (field.to_owned(), instead))
        .collect();
    let whole = [("headers".to_owned(), route.headers.as_ref())];
    let each = route.route.iter().enumerate();
    let each = each.map(|(index, to)| (format!("route[{index}].headers"), to.headers.as_ref()));
    for (field, headers) in whole.into_iter().chain(each) {
        fields.extend(substitutions(&field, headers));
    }
    fields
}

/// Values of headers that Envoy would put together anew for each request.
fn substitutions(field: &str, headers: Option<&Headers>) -> Vec<(String, &'static str)> {
    let sides = headers.map(|found| [("request", &found.request), ("response", &found.response)]);
    let mut fields = Vec::new();
    for (side, operations) in sides.into_iter().flatten() {
        let Some(operations) = operations else {
            continue;
        };
        for (list, values) in [("set", &operations.set), ("add", &operations.add)] {
            let some = values.iter().filter(|(_, value)| value.contains('%'));
            fields.extend(some.map(|(key, _)| {
                let field = format!("{field}.{side}.{list}.{key}");
                (field, "the value is sent as written, % and all")
            }));
        }
    }
    fields
}

/// The parts of a traffic policy that are not enforced, and what is done instead.
pub fn policy_fields(policy: &TrafficPolicy) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if let Some(balancer) = &policy.load_balancer {
        match balancer.simple.as_deref() {
            None
            | Some(
                "" | "UNSPECIFIED" | "LEAST_REQUEST" | "LEAST_CONN" | "ROUND_ROBIN" | "RANDOM",
            ) => {}
            Some(other) => fields.push((
                "loadBalancer.simple".to_owned(),
                format!("connections rotate over the endpoints, not {other}"),
            )),
        }
        let others = [
            ("consistentHash", balancer.consistent_hash.is_some()),
            ("backendUtilization", balancer.backend_utilization.is_some()),
            ("localityLbSetting", balancer.locality_lb_setting.is_some()),
            (
                "zoneAwareLbSetting",
                balancer.zone_aware_lb_setting.is_some(),
            ),
            (
                "warmupDurationSecs",
                balancer.warmup_duration_secs.is_some(),
            ),
            ("warmup", balancer.warmup.is_some()),
        ];
        for (field, _) in others.into_iter().filter(|(_, asked)| *asked) {
            let message = "connections rotate over the endpoints".to_owned();
            fields.push((format!("loadBalancer.{field}"), message));
        }
    }
    if let Some(mode) = policy
        .tls
        .as_ref()
        .map(tls_mode)
        .filter(|mode| *mode != "DISABLE")
    {
        let message = format!("bytes flow as the application sends them, not {mode}");
        fields.push(("tls".to_owned(), message));
    }
    let others = [
        (
            "connectionPool",
            policy.connection_pool.is_some(),
            "connections are not limited",
        ),
        (
            "outlierDetection",
            policy.outlier_detection.is_some(),
            "no endpoint is ejected",
        ),
        ("tunnel", policy.tunnel.is_some(), "connections are direct"),
        (
            "proxyProtocol",
            policy.proxy_protocol.is_some(),
            "nothing is put before the application's bytes",
        ),
        (
            "retryBudget",
            policy.retry_budget.is_some(),
            "each rule retries as it says",
        ),
    ];
    for (field, _, instead) in others.into_iter().filter(|(_, asked, _)| *asked) {
        fields.push((field.to_owned(), instead.to_owned()));
    }
    for (index, _) in policy.port_level_settings.iter().flatten().enumerate() {
        let message = "all ports are treated alike".to_owned();
        fields.push((format!("portLevelSettings[{index}]"), message));
    }
    fields
}

fn tls_mode(tls: &ClientTls) -> &str {
    tls.mode.as_deref().unwrap_or("DISABLE")
}

#[cfg(test)]
mod tests;
