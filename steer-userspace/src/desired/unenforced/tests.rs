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
    assert_eq!(
        request_fields(&route(r#"{"timeout": "0s", "retries": {"attempts": 0}}"#)),
        Vec::<String>::new()
    );
    assert_eq!(
        request_fields(&route(r#"{"timeout": "0.5s"}"#)),
        ["timeout"]
    );
    assert_eq!(
        request_fields(&route(r#"{"retries": {"attempts": 1}}"#)),
        ["retries"]
    );
}

#[test]
fn every_field_of_a_rule_is_named() {
    let all = route(
        r#"{"rewrite": {}, "timeout": "1s", "retries": {"attempts": 3}, "fault": {}, "corsPolicy": {}, "headers": {},
            "mirror": {}, "mirrors": [], "mirrorPercent": 1, "mirrorPercentage": {}, "redirect": {}, "directResponse": {},
            "route": [{"destination": {"host": "a"}}, {"destination": {"host": "a"}, "headers": {}}]}"#,
    );
    let fields: Vec<String> = rule_fields(&all)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(
        fields,
        [
            "rewrite",
            "timeout",
            "retries",
            "fault",
            "corsPolicy",
            "headers",
            "route[1].headers",
            "redirect",
            "directResponse",
            "mirror",
            "mirrors",
            "mirrorPercent",
            "mirrorPercentage"
        ]
    );
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
