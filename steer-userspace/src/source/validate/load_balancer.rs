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
    if hash.ring_hash.is_some() && hash.maglev.is_some() {
        checks.error(
            field,
            "ringHash and maglev exclude each other",
            "leave one of them",
        );
    }
    if hash.minimum_ring_size.is_some() {
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

fn warmup(checks: &mut Checks, field: &str, warmup: &Warmup) {
    if warmup.duration.is_none() {
        checks.error(field, "it has no duration", "say how long");
    }
    checks.duration(&format!("{field}.duration"), warmup.duration);
    let minimum = warmup.minimum_percent.as_ref().and_then(Number::as_f64);
    checks.percent(&format!("{field}.minimumPercent"), minimum);
    if let Some(value) = warmup.aggression.as_ref().and_then(Number::as_f64)
        && value < 0.0
    {
        checks.error(
            format!("{field}.aggression"),
            format!("{value} is negative"),
            "1 is a straight line",
        );
    }
}
