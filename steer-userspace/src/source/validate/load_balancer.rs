//! `loadBalancer` of a traffic policy.

use std::collections::BTreeSet;

use serde_json::Number;

use super::{checks::Checks, locality};
use crate::source::istio::{ConsistentHash, LoadBalancer, OutlierDetection, Warmup};

const SIMPLE: [&str; 6] = [
    "UNSPECIFIED",
    "LEAST_CONN",
    "RANDOM",
    "PASSTHROUGH",
    "ROUND_ROBIN",
    "LEAST_REQUEST",
];

pub(super) fn load_balancer(
    checks: &mut Checks,
    field: &str,
    balancer: &LoadBalancer,
    outlier: Option<&OutlierDetection>,
) {
    checks.one_of(
        &format!("{field}.simple"),
        balancer.simple.as_deref(),
        &SIMPLE,
    );
    let ways = [
        balancer.simple.is_some(),
        balancer.consistent_hash.is_some(),
        balancer.backend_utilization.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        checks.error(
            field,
            "simple, consistentHash and backendUtilization exclude each other",
            "leave one of them",
        );
    }
    if let Some(hash) = &balancer.consistent_hash {
        consistent_hash(checks, &format!("{field}.consistentHash"), hash);
    }
    if let Some(setting) = &balancer.locality_lb_setting {
        locality::by_locality(
            checks,
            &format!("{field}.localityLbSetting"),
            setting,
            outlier,
        );
    }
    if let Some(setting) = &balancer.zone_aware_lb_setting {
        let field = format!("{field}.zoneAwareLbSetting");
        if balancer.locality_lb_setting.is_some() {
            checks.error(&field, "it excludes localityLbSetting", "leave one of them");
        }
        locality::by_zone(checks, &field, setting, outlier);
    }
    if balancer.warmup_duration_secs.is_some() && balancer.warmup.is_some() {
        checks.error(
            field,
            "warmup and warmupDurationSecs exclude each other",
            "use warmup",
        );
    }
    checks.duration(
        &format!("{field}.warmupDurationSecs"),
        balancer.warmup_duration_secs,
    );
    if let Some(warmup) = &balancer.warmup {
        self::warmup(checks, &format!("{field}.warmup"), warmup);
    }
}

/// Envoy refuses larger tables.
const MAGLEV_MAX: u64 = 5_000_011;

fn consistent_hash(checks: &mut Checks, field: &str, hash: &ConsistentHash) {
    let keys = [
        hash.http_header_name.is_some(),
        hash.http_cookie.is_some(),
        hash.use_source_ip == Some(true),
        hash.http_query_parameter_name.is_some(),
    ];
    if keys.iter().filter(|key| **key).count() > 1 {
        checks.error(
            field,
            "what is hashed is said several times",
            "leave one of them",
        );
    }
    let has_ring_size = hash.minimum_ring_size.is_some_and(|size| size != 0);
    let tables = [
        has_ring_size,
        hash.ring_hash.is_some(),
        hash.maglev.is_some(),
    ];
    if tables.iter().filter(|table| **table).count() > 1 {
        checks.error(
            field,
            "minimumRingSize, ringHash and maglev exclude each other",
            "leave one of them",
        );
    }
    let size = hash.maglev.as_ref().and_then(|maglev| maglev.table_size);
    if let Some(size) = size.filter(|&size| size >= MAGLEV_MAX || !is_prime(size)) {
        checks.error(
            format!("{field}.maglev.tableSize"),
            format!("{size} is no prime number below {MAGLEV_MAX}"),
            "use 65537, or leave it out",
        );
    }
    if has_ring_size {
        checks.warn(
            format!("{field}.minimumRingSize"),
            "it is deprecated",
            "use ringHash.minimumRingSize",
        );
    }
    let Some(cookie) = &hash.http_cookie else {
        return;
    };
    let field = format!("{field}.httpCookie");
    if cookie.name.is_empty() {
        checks.error(&field, "the cookie has no name", "name it");
    }
    let mut names = BTreeSet::new();
    for (index, attribute) in cookie.attributes.iter().enumerate() {
        let field = format!("{field}.attributes[{index}].name");
        if attribute.name.is_empty() {
            checks.error(field, "the attribute has no name", "name it");
        } else if !names.insert(&attribute.name) {
            let message = format!("{} is there twice", attribute.name);
            checks.error(field, message, "remove one");
        }
    }
}

fn is_prime(number: u64) -> bool {
    let mut factors = (2..).take_while(|factor| factor * factor <= number);
    number > 1 && factors.all(|factor| !number.is_multiple_of(factor))
}

fn warmup(checks: &mut Checks, field: &str, warmup: &Warmup) {
    if warmup.duration.is_none() {
        checks.error(field, "it has no duration", "say how long");
    }
    checks.duration(&format!("{field}.duration"), warmup.duration);
    let minimum = warmup.minimum_percent.as_ref().and_then(Number::as_f64);
    checks.percent(&format!("{field}.minimumPercent"), minimum);
    if let Some(value) = warmup.aggression.as_ref().and_then(Number::as_f64)
        && value < 1.0
    {
        checks.error(
            format!("{field}.aggression"),
            format!("{value} is less than 1"),
            "1 is a straight line",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    fn found(value: Value) -> Vec<String> {
        let outlier = OutlierDetection::default();
        let check = |checks: &mut Checks, field: &str, found: &LoadBalancer| {
            load_balancer(checks, field, found, Some(&outlier));
        };
        fields(check, value)
    }

    #[test]
    fn one_way_to_balance() {
        assert!(found(json!({"simple": "RANDOM", "warmup": {"duration": "10s"}})).is_empty());
        assert_eq!(found(json!({"simple": "BEST"})), ["simple"]);
        let hash = json!({"useSourceIp": true});
        assert_eq!(
            found(json!({"simple": "RANDOM", "consistentHash": hash})),
            ["x"]
        );
        let places = json!({"localityLbSetting": {}, "zoneAwareLbSetting": {}});
        assert_eq!(found(places), ["zoneAwareLbSetting"]);
    }

    #[test]
    fn one_thing_is_hashed_into_one_table() {
        let hash = |value: Value| found(json!({"consistentHash": value}));
        let fine = json!({"httpHeaderName": "x-user", "maglev": {"tableSize": 65_537}});
        assert!(hash(fine).is_empty());
        let wrong = json!({"httpHeaderName": "x-user", "useSourceIp": true});
        assert_eq!(hash(wrong), ["consistentHash"]);
        let wrong = json!({"minimumRingSize": 8, "ringHash": {}});
        assert_eq!(
            hash(wrong),
            ["consistentHash", "consistentHash.minimumRingSize"]
        );
        for size in [0_u64, 1, 4, 5_000_011, u64::MAX] {
            let wrong = json!({"maglev": {"tableSize": size}});
            assert_eq!(hash(wrong), ["consistentHash.maglev.tableSize"], "{size}");
        }
    }

    #[test]
    fn cookies_and_their_attributes_have_names() {
        let cookie = |value: Value| found(json!({"consistentHash": {"httpCookie": value}})).len();
        let secure = json!({"name": "Secure"});
        assert_eq!(
            cookie(json!({"name": "a", "ttl": "0s", "attributes": [secure]})),
            0
        );
        assert_eq!(
            cookie(json!({"name": "", "attributes": [secure, secure, {}]})),
            3
        );
    }

    #[test]
    fn warm_up_takes_a_while() {
        let wrong = json!({"minimumPercent": 101, "aggression": 0.5});
        let expected = ["warmup", "warmup.minimumPercent", "warmup.aggression"];
        assert_eq!(found(json!({"warmup": wrong})), expected);
        assert_eq!(
            found(json!({"warmupDurationSecs": "1us"})),
            ["warmupDurationSecs"]
        );
    }
}
