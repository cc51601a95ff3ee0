//! `trafficPolicy` of a DestinationRule.

use super::{checks::Checks, load_balancer::load_balancer, names};
use crate::source::istio::{
    ClientTls, ConnectionPool, HttpPool, OutlierDetection, PortTrafficPolicy, TcpPool,
    TrafficPolicy, Tunnel,
};

pub(super) fn traffic_policy(checks: &mut Checks, field: &str, policy: &TrafficPolicy) {
    if *policy == TrafficPolicy::default() {
        return checks.error(field, "it says nothing", "leave it out");
    }
    let outlier = policy.outlier_detection.as_ref();
    if let Some(balancer) = &policy.load_balancer {
        load_balancer(checks, &format!("{field}.loadBalancer"), balancer, outlier);
    }
    shared(
        checks,
        field,
        policy.connection_pool.as_ref(),
        outlier,
        policy.tls.as_ref(),
    );
    let ports = policy.port_level_settings.as_deref().unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        port_policy(checks, &format!("{field}.portLevelSettings[{index}]"), port);
    }
    if let Some(tunnel) = &policy.tunnel {
        self::tunnel(checks, &format!("{field}.tunnel"), tunnel);
    }
    if let Some(proxy) = &policy.proxy_protocol {
        let field = format!("{field}.proxyProtocol");
        if policy.tunnel.is_some() {
            checks.error(
                &field,
                "tunnel and proxyProtocol exclude each other",
                "leave one",
            );
        }
        checks.one_of(
            &format!("{field}.version"),
            proxy.version.as_deref(),
            &["V1", "V2"],
        );
    }
    if let Some(budget) = &policy.retry_budget {
        let field = format!("{field}.retryBudget");
        let percent = budget.percent.as_ref().and_then(serde_json::Number::as_f64);
        checks.percent(&format!("{field}.percent"), percent);
        checks.duration(&format!("{field}.budgetInterval"), budget.budget_interval);
    }
}

fn port_policy(checks: &mut Checks, field: &str, policy: &PortTrafficPolicy) {
    if policy.port.is_none() {
        checks.error(field, "it has no port", "write port.number");
    }
    checks.port_selector(&format!("{field}.port"), policy.port);
    let (port, nothing) = (policy.port, PortTrafficPolicy::default());
    if *policy == (PortTrafficPolicy { port, ..nothing }) {
        checks.error(field, "it says nothing", "leave it out");
    }
    let outlier = policy.outlier_detection.as_ref();
    if let Some(balancer) = &policy.load_balancer {
        load_balancer(checks, &format!("{field}.loadBalancer"), balancer, outlier);
    }
    shared(
        checks,
        field,
        policy.connection_pool.as_ref(),
        outlier,
        policy.tls.as_ref(),
    );
}

fn shared(
    checks: &mut Checks,
    field: &str,
    pool: Option<&ConnectionPool>,
    outlier: Option<&OutlierDetection>,
    tls: Option<&ClientTls>,
) {
    if let Some(pool) = pool {
        connection_pool(checks, &format!("{field}.connectionPool"), pool);
    }
    if let Some(outlier) = outlier {
        outlier_detection(checks, &format!("{field}.outlierDetection"), outlier);
    }
    if let Some(tls) = tls {
        client_tls(checks, &format!("{field}.tls"), tls);
    }
}

/// Limits: at least one of them.
pub fn connection_pool(checks: &mut Checks, field: &str, pool: &ConnectionPool) {
    if pool.tcp.is_none() && pool.http.is_none() {
        checks.error(field, "it says nothing", "give it tcp or http");
    }
    if let Some(tcp) = &pool.tcp {
        tcp_pool(checks, &format!("{field}.tcp"), tcp);
    }
    if let Some(http) = &pool.http {
        http_pool(checks, &format!("{field}.http"), http);
    }
}

fn tcp_pool(checks: &mut Checks, field: &str, pool: &TcpPool) {
    checks.not_negative(&format!("{field}.maxConnections"), pool.max_connections);
    checks.duration(&format!("{field}.connectTimeout"), pool.connect_timeout);
    checks.duration(
        &format!("{field}.maxConnectionDuration"),
        pool.max_connection_duration,
    );
    // 0s switches it off.
    let idle = pool.idle_timeout.filter(|idle| idle.nanos != 0);
    checks.duration(&format!("{field}.idleTimeout"), idle);
    if let Some(keepalive) = &pool.tcp_keepalive {
        let field = format!("{field}.tcpKeepalive");
        checks.duration(&format!("{field}.time"), keepalive.time);
        checks.duration(&format!("{field}.interval"), keepalive.interval);
    }
}

fn http_pool(checks: &mut Checks, field: &str, pool: &HttpPool) {
    let counts = [
        ("http1MaxPendingRequests", pool.http1_max_pending_requests),
        ("http2MaxRequests", pool.http2_max_requests),
        ("maxRequestsPerConnection", pool.max_requests_per_connection),
        ("maxRetries", pool.max_retries),
        ("maxConcurrentStreams", pool.max_concurrent_streams),
    ];
    for (name, count) in counts {
        checks.not_negative(&format!("{field}.{name}"), count);
    }
    checks.duration(&format!("{field}.idleTimeout"), pool.idle_timeout);
    let upgrade = pool.h2_upgrade_policy.as_deref();
    checks.one_of(
        &format!("{field}.h2UpgradePolicy"),
        upgrade,
        &["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"],
    );
    if upgrade == Some("UPGRADE") && pool.use_client_protocol == Some(true) {
        checks.error(
            format!("{field}.useClientProtocol"),
            "useClientProtocol and h2UpgradePolicy UPGRADE exclude each other",
            "leave one of them",
        );
    }
    if let Some(alive) = &pool.http2_keep_alive {
        let field = format!("{field}.http2KeepAlive");
        if alive.interval.is_none() {
            checks.error(&field, "it has no interval", "say how often to ping");
        }
        checks.duration(&format!("{field}.interval"), alive.interval);
        checks.duration(&format!("{field}.timeout"), alive.timeout);
    }
}

/// When endpoints are ejected.
pub fn outlier_detection(checks: &mut Checks, field: &str, outlier: &OutlierDetection) {
    checks.duration(&format!("{field}.interval"), outlier.interval);
    checks.duration(
        &format!("{field}.baseEjectionTime"),
        outlier.base_ejection_time,
    );
    let percents = [
        ("maxEjectionPercent", outlier.max_ejection_percent),
        ("minHealthPercent", outlier.min_health_percent),
    ];
    for (name, percent) in percents {
        checks.percent(&format!("{field}.{name}"), percent.map(f64::from));
    }
    if outlier.consecutive_errors.is_some_and(|count| count != 0) {
        checks.warn(
            format!("{field}.consecutiveErrors"),
            "it is deprecated",
            "use consecutive5xxErrors or consecutiveGatewayErrors",
        );
    }
    let split = outlier.split_external_local_origin_errors == Some(true);
    if !split
        && outlier
            .consecutive_local_origin_failures
            .is_some_and(|count| count > 0)
    {
        checks.error(
            format!("{field}.consecutiveLocalOriginFailures"),
            "it counts only with splitExternalLocalOriginErrors",
            "set splitExternalLocalOriginErrors to true",
        );
    }
    for (index, &code) in outlier
        .outlier_detection_http_error_codes
        .iter()
        .enumerate()
    {
        if !(100..600).contains(&code) {
            checks.error(
                format!("{field}.outlierDetectionHttpErrorCodes[{index}]"),
                format!("{code} is not between 100 and 599"),
                "use a status of HTTP",
            );
        }
    }
}

/// The client's side of TLS.
pub fn client_tls(checks: &mut Checks, field: &str, tls: &ClientTls) {
    let mode = tls.mode.as_deref().unwrap_or("DISABLE");
    checks.one_of(
        &format!("{field}.mode"),
        Some(mode),
        &["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"],
    );
    let given = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    let files = [
        ("clientCertificate", &tls.client_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
    ];
    if matches!(mode, "SIMPLE" | "MUTUAL") && given(&tls.credential_name) {
        for (name, _) in files.iter().filter(|(_, value)| given(value)) {
            checks.error(
                format!("{field}.{name}"),
                "credentialName and files exclude each other",
                "leave one of them",
            );
        }
    } else if mode == "MUTUAL" {
        for (name, _) in files[..2].iter().filter(|(_, value)| !given(value)) {
            checks.error(
                format!("{field}.{name}"),
                "MUTUAL needs a certificate and its key",
                "name the files, or a credentialName",
            );
        }
    }
    let is_verified = given(&tls.ca_certificates)
        || !tls.subject_alt_names.is_empty()
        || (mode == "SIMPLE" && given(&tls.credential_name));
    let verifies = matches!(mode, "SIMPLE" | "MUTUAL") && is_verified;
    if tls.insecure_skip_verify == Some(true) && verifies {
        checks.error(
            format!("{field}.insecureSkipVerify"),
            "it excludes caCertificates and subjectAltNames, and credentialName with SIMPLE",
            "leave it out, or those",
        );
    }
    for (index, name) in tls.subject_alt_names.iter().enumerate() {
        if name.is_empty() {
            let field = format!("{field}.subjectAltNames[{index}]");
            checks.error(field, "a name is missing", "remove it, or write one");
        }
    }
}

fn tunnel(checks: &mut Checks, field: &str, tunnel: &Tunnel) {
    let protocol = tunnel.protocol.as_deref();
    checks.one_of(
        &format!("{field}.protocol"),
        protocol,
        &["", "CONNECT", "POST"],
    );
    let host = &tunnel.target_host;
    if host.parse::<std::net::IpAddr>().is_err() {
        let field = format!("{field}.targetHost");
        checks.named(&field, host, names::fqdn(host), "name one host");
    }
    checks.port(&format!("{field}.targetPort"), Some(tunnel.target_port));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    fn found(value: Value) -> Vec<String> {
        fields(traffic_policy, value)
    }

    #[test]
    fn a_policy_says_something() {
        assert_eq!(found(json!({})), ["x"]);
        assert_eq!(found(json!({"connectionPool": {}})), ["connectionPool"]);
        assert!(found(json!({"outlierDetection": {}})).is_empty());
        let both = json!({"tunnel": {"targetHost": "a", "targetPort": 1}, "proxyProtocol": {}});
        assert_eq!(found(both), ["proxyProtocol"]);
    }

    #[test]
    fn settings_of_ports_name_their_port() {
        let ports = |value: Value| found(json!({"portLevelSettings": value}));
        let fine = json!([{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]);
        assert!(ports(fine).is_empty());
        let field = "portLevelSettings[0]";
        assert_eq!(ports(json!([{"port": {"number": 80}}])), [field]);
        let wrong = json!([{"connectionPool": {"tcp": {"maxConnections": -1}}}]);
        let limit = format!("{field}.connectionPool.tcp.maxConnections");
        assert_eq!(ports(wrong), [field, limit.as_str()]);
    }

    #[test]
    fn limits_are_not_negative_and_times_not_too_short() {
        let pool = |value: Value| fields(connection_pool, value);
        let wrong = json!({
            "tcp": {"maxConnections": -1, "connectTimeout": "1us", "idleTimeout": "0s"},
            "http": {"maxRetries": -1, "idleTimeout": "1.0000001s"},
        });
        let expected = [
            "tcp.maxConnections",
            "tcp.connectTimeout",
            "http.maxRetries",
            "http.idleTimeout",
        ];
        assert_eq!(pool(wrong), expected);
        let wrong = json!({"http": {
            "h2UpgradePolicy": "UPGRADE", "useClientProtocol": true,
            "http2KeepAlive": {"timeout": "1s"},
        }});
        assert_eq!(
            pool(wrong),
            ["http.useClientProtocol", "http.http2KeepAlive"]
        );
    }

    #[test]
    fn outliers_are_counted_and_ejected_within_bounds() {
        let fine = json!({
            "consecutive5xxErrors": 5, "interval": "10s", "maxEjectionPercent": 100,
            "splitExternalLocalOriginErrors": true, "consecutiveLocalOriginFailures": 1,
            "consecutiveErrors": 0,
        });
        assert!(fields(outlier_detection, fine).is_empty());
        let wrong = json!({
            "consecutiveErrors": 1, "consecutiveLocalOriginFailures": 1, "interval": "0s",
            "baseEjectionTime": "1us", "maxEjectionPercent": 101, "minHealthPercent": -1,
        });
        let expected = [
            "interval",
            "baseEjectionTime",
            "maxEjectionPercent",
            "minHealthPercent",
            "consecutiveErrors",
            "consecutiveLocalOriginFailures",
        ];
        assert_eq!(fields(outlier_detection, wrong), expected);
    }

    #[test]
    fn certificates_come_from_files_or_from_a_secret() {
        let tls = |value: Value| fields(client_tls, value);
        assert!(tls(json!({})).is_empty());
        assert!(tls(json!({"mode": "SIMPLE", "caCertificates": "a"})).is_empty());
        assert!(tls(json!({"mode": "MUTUAL", "credentialName": "a"})).is_empty());
        assert!(tls(json!({"mode": "ISTIO_MUTUAL", "privateKey": "a"})).is_empty());
        assert_eq!(
            tls(json!({"mode": "MUTUAL"})),
            ["clientCertificate", "privateKey"]
        );
        let both =
            json!({"mode": "SIMPLE", "credentialName": "a", "caCertificates": "b", "caCrl": "c"});
        assert_eq!(tls(both), ["caCertificates", "caCrl"]);
        assert_eq!(tls(json!({"mode": "simple"})), ["mode"]);
    }

    #[test]
    fn who_is_not_verified_is_nobody_in_particular() {
        let unverified = |mode: &str, name: &str, value: Value| {
            let mut tls = json!({"mode": mode, "insecureSkipVerify": true});
            tls[name] = value;
            let found = fields(client_tls, tls);
            found.contains(&"insecureSkipVerify".to_owned())
        };
        assert!(!unverified("SIMPLE", "sni", json!("a")));
        assert!(unverified("SIMPLE", "subjectAltNames", json!(["a"])));
        assert!(unverified("SIMPLE", "credentialName", json!("a")));
        assert!(unverified("MUTUAL", "caCertificates", json!("a")));
        assert!(!unverified("MUTUAL", "credentialName", json!("a")));
        assert!(!unverified("ISTIO_MUTUAL", "caCertificates", json!("a")));
    }

    #[test]
    fn tunnels_lead_somewhere() {
        let wrong = json!({"protocol": "GET", "targetHost": "*.a", "targetPort": 0});
        let expected = ["protocol", "targetHost", "targetPort"];
        assert_eq!(fields(tunnel, wrong), expected);
        let fine = json!({"targetHost": "fd00::1", "targetPort": 443});
        assert!(fields(tunnel, fine).is_empty());
        assert_eq!(
            found(json!({"retryBudget": {"percent": 101}})),
            ["retryBudget.percent"]
        );
        let version = json!({"proxyProtocol": {"version": "V3"}});
        assert_eq!(found(version), ["proxyProtocol.version"]);
    }
}
