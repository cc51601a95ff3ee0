use super::*;

fn route(text: &str) -> HttpRoute {
    serde_json::from_str(text).unwrap()
}

fn policy(text: &str) -> Vec<String> {
    let fields = policy_fields(&serde_json::from_str(text).unwrap());
    fields.into_iter().map(|(field, _)| field).collect()
}

#[test]
fn what_is_switched_off_asks_for_nothing() {
    for (text, expected) in [
        (r#"{"timeout": "0s", "retries": {"attempts": 0}}"#, false),
        (r#"{"corsPolicy": {}}"#, false),
        (r#"{"corsPolicy": {"allowMethods": ["GET"]}}"#, false),
        (
            r#"{"corsPolicy": {"allowOrigins": [{"exact": "*"}]}}"#,
            true,
        ),
        (r#"{"corsPolicy": {"unmatchedPreflights": "IGNORE"}}"#, true),
        (r#"{"timeout": "0.5s"}"#, true),
        (r#"{"retries": {"attempts": 1}}"#, true),
        (r#"{"redirect": {}}"#, true),
        (r#"{"directResponse": {}}"#, true),
        (
            r#"{"route": [{"destination": {"host": "a"}, "headers": {}}]}"#,
            true,
        ),
    ] {
        assert_eq!(takes_requests(&route(text)), expected, "{text}");
    }
}

#[test]
fn a_copy_of_none_is_no_copy() {
    for (text, expected) in [
        (
            r#"{"mirror": {"host": "a"}, "mirrorPercentage": {"value": 0}}"#,
            false,
        ),
        (r#"{"mirror": {"host": "a"}}"#, true),
        (r#"{"mirrors": [{"destination": {"host": "a"}}]}"#, true),
    ] {
        assert_eq!(is_copied(&route(text)), expected, "{text}");
        assert!(!takes_requests(&route(text)), "nothing else is asked for");
    }
}

fn fields(text: &str) -> Vec<String> {
    let fields = rule_fields(&route(text)).into_iter();
    fields.map(|(field, _)| field).collect()
}

#[test]
fn every_field_of_a_rule_that_is_not_enforced_is_named() {
    let all = r#"{"rewrite": {}, "timeout": "1s", "redirect": {}, "directResponse": {}, "headers": {},
        "retries": {"attempts": 3, "retryRemoteLocalities": true, "retryIgnorePreviousHosts": false},
        "fault": {"delay": {"exponentialDelay": "1s"}, "abort": {"http2Error": "x"}},
        "mirror": {}, "mirrors": [], "mirrorPercent": 1, "mirrorPercentage": {},
        "route": [{"destination": {"host": "a"}}, {"destination": {"host": "a"}, "headers": {"response": {"add": {"x": "%A%"}}}}]}"#;
    assert_eq!(
        fields(all),
        [
            "retries.retryRemoteLocalities",
            "retries.retryIgnorePreviousHosts",
            "fault.delay.exponentialDelay",
            "fault.abort.http2Error",
            "route[1].headers.response.add.x",
        ]
    );
}

#[test]
fn what_is_enforced_is_not_named() {
    let all = r#"{"rewrite": {"uri": "/"}, "timeout": "1s", "retries": {"attempts": 3, "perTryTimeout": "1s", "backoff": "1s"},
        "fault": {"delay": {"fixedDelay": "1s"}, "abort": {"httpStatus": 503}},
        "headers": {"request": {"set": {"x": "y"}, "remove": ["z"]}}, "redirect": {"uri": "/"},
        "corsPolicy": {"allowOrigins": [{"exact": "*"}]}}"#;
    assert_eq!(fields(all), [""; 0]);
}

#[test]
fn ways_to_balance_that_taking_turns_meets_are_no_finding() {
    for simple in [
        "LEAST_REQUEST",
        "ROUND_ROBIN",
        "RANDOM",
        "LEAST_CONN",
        "UNSPECIFIED",
    ] {
        assert_eq!(
            policy(&format!(r#"{{"loadBalancer": {{"simple": "{simple}"}}}}"#)),
            Vec::<String>::new()
        );
    }
    assert_eq!(
        policy(r#"{"loadBalancer": {"simple": "PASSTHROUGH"}}"#),
        ["loadBalancer.simple"]
    );
    assert_eq!(
        policy(r#"{"tls": {"mode": "DISABLE"}}"#),
        Vec::<String>::new()
    );
}

#[test]
fn every_field_of_a_policy_is_named() {
    let all = r#"{"loadBalancer": {"consistentHash": {}, "backendUtilization": {}, "localityLbSetting": {}, "zoneAwareLbSetting": {}, "warmupDurationSecs": "1s", "warmup": {}},
        "tls": {"mode": "ISTIO_MUTUAL"}, "connectionPool": {}, "outlierDetection": {}, "tunnel": {}, "proxyProtocol": {}, "retryBudget": {},
        "portLevelSettings": [{}, {}]}"#;
    assert_eq!(
        policy(all),
        [
            "loadBalancer.consistentHash",
            "loadBalancer.backendUtilization",
            "loadBalancer.localityLbSetting",
            "loadBalancer.zoneAwareLbSetting",
            "loadBalancer.warmupDurationSecs",
            "loadBalancer.warmup",
            "tls",
            "connectionPool",
            "outlierDetection",
            "tunnel",
            "proxyProtocol",
            "retryBudget",
            "portLevelSettings[0]",
            "portLevelSettings[1]"
        ]
    );
}
