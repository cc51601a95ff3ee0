//! The fields of `http` rules and traffic policies that are read and not enforced.

use crate::source::istio::{ClientTls, HttpRoute, TrafficPolicy};

/// The fields of a rule that take reading requests, as far as they ask for something.
pub fn request_fields(route: &HttpRoute) -> Vec<String> {
    let mut fields: Vec<String> = [
        ("rewrite", route.rewrite.is_some()),
        (
            "timeout",
            route
                .timeout
                .as_ref()
                .is_some_and(|timeout| timeout.nanos != 0),
        ),
        (
            "retries",
            route
                .retries
                .as_ref()
                .is_some_and(|retries| retries.attempts != 0),
        ),
        ("fault", route.fault.is_some()),
        ("corsPolicy", route.cors_policy.is_some()),
        ("headers", route.headers.is_some()),
    ]
    .into_iter()
    .filter(|(_, asked)| *asked)
    .map(|(field, _)| field.to_owned())
    .collect();
    let with_headers = route
        .route
        .iter()
        .enumerate()
        .filter(|(_, to)| to.headers.is_some());
    fields.extend(with_headers.map(|(index, _)| format!("route[{index}].headers")));
    fields
}

/// All fields of a rule that are not enforced, and what is done instead.
pub fn rule_fields(route: &HttpRoute) -> Vec<(String, &'static str)> {
    let instead = |field: &str| match field {
        "rewrite" => "requests are left as sent",
        "timeout" => "requests take as long as they take",
        "retries" => "nothing is retried",
        "fault" => "nothing is delayed or aborted",
        "corsPolicy" => "the application answers for itself",
        _ => "headers are left as sent",
    };
    let of_requests = request_fields(route).into_iter();
    let mut fields: Vec<_> = of_requests
        .map(|field| (field.clone(), instead(&field)))
        .collect();
    let own = "the service's own endpoints are used";
    let copies = "nothing is mirrored";
    let others = [
        ("redirect", route.redirect.is_some(), own),
        ("directResponse", route.direct_response.is_some(), own),
        ("mirror", route.mirror.is_some(), copies),
        ("mirrors", route.mirrors.is_some(), copies),
        ("mirrorPercent", route.mirror_percent.is_some(), copies),
        (
            "mirrorPercentage",
            route.mirror_percentage.is_some(),
            copies,
        ),
    ];
    let asked = others.into_iter().filter(|(_, asked, _)| *asked);
    fields.extend(asked.map(|(field, _, instead)| (field.to_owned(), instead)));
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
            "nothing is retried",
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
