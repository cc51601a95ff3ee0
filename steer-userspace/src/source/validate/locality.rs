//! Balancing by locality and by zone.

use super::checks::Checks;
use crate::source::istio::{Failover, LocalityLb, OutlierDetection, ZoneAwareLb};

/// Labels that say where something is.
const PLACES: [&str; 3] = [
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
];

/// `localityLbSetting`.
pub fn by_locality(
    checks: &mut Checks,
    field: &str,
    setting: &LocalityLb,
    outlier: Option<&OutlierDetection>,
) {
    let ways = [!setting.distribute.is_empty(), !setting.failover.is_empty()];
    if ways == [true, true] {
        checks.error(field, "distribute excludes failover", "leave one of them");
    }
    let is_place = |label: &&String| PLACES.contains(&label.as_str());
    if let Some(label) = setting.failover_priority.iter().find(is_place)
        && ways[1]
    {
        checks.error(
            format!("{field}.failoverPriority"),
            format!("failover says already in which order of {label} places stand in"),
            "leave one of them",
        );
    }
    let from: Vec<&str> = setting
        .distribute
        .iter()
        .map(|one| one.from.as_str())
        .collect();
    localities(checks, &format!("{field}.distribute"), &from);
    for (index, one) in setting.distribute.iter().enumerate() {
        let field = format!("{field}.distribute[{index}].to");
        let to: Vec<&str> = one.to.keys().map(String::as_str).collect();
        localities(checks, &field, &to);
        if one.to.values().any(|weight| !(1..=100).contains(weight)) {
            checks.error(
                &field,
                "a weight is not between 1 and 100",
                "mend the weights",
            );
        }
        let sum: u64 = one.to.values().map(|&weight| u64::from(weight)).sum();
        if sum != 100 {
            checks.error(&field, format!("the weights sum to {sum}"), "make it 100");
        }
    }
    failover(checks, field, &setting.failover);
    needs_outlier(
        checks,
        field,
        &setting.failover,
        &setting.failover_priority,
        outlier,
    );
}

/// `zoneAwareLbSetting`.
pub fn by_zone(
    checks: &mut Checks,
    field: &str,
    setting: &ZoneAwareLb,
    outlier: Option<&OutlierDetection>,
) {
    if !setting.failover.is_empty() && !setting.failover_priority.is_empty() {
        checks.error(
            field,
            "failover and failoverPriority exclude each other",
            "leave one",
        );
    }
    for (index, label) in setting.failover_priority.iter().enumerate() {
        if label.starts_with("topology.istio.io/subzone") {
            checks.error(
                format!("{field}.failoverPriority[{index}]"),
                "there are no subzones here",
                "use labels of regions, zones or workloads",
            );
        }
    }
    if setting.min_cluster_size == Some(0) {
        checks.error(
            format!("{field}.minClusterSize"),
            "0 is too small",
            "use 1 or more",
        );
    }
    failover(checks, field, &setting.failover);
    needs_outlier(
        checks,
        field,
        &setting.failover,
        &setting.failover_priority,
        outlier,
    );
}

fn failover(checks: &mut Checks, field: &str, found: &[Failover]) {
    for (index, one) in found.iter().enumerate() {
        let field = format!("{field}.failover[{index}]");
        if one.from == one.to {
            checks.error(
                &field,
                "a region cannot stand in for itself",
                "name two regions",
            );
        }
        if [&one.from, &one.to]
            .iter()
            .any(|region| region.contains(['*', '/']))
        {
            checks.error(&field, "only whole regions are named here", "write REGION");
        }
    }
}

fn needs_outlier(
    checks: &mut Checks,
    field: &str,
    failover: &[Failover],
    priority: &[String],
    outlier: Option<&OutlierDetection>,
) {
    if outlier.is_none() && !(failover.is_empty() && priority.is_empty()) {
        checks.warn(
            field,
            "nothing fails over without outlierDetection",
            "add outlierDetection",
        );
    }
}

/// Localities (`region/zone/subzone`, `*` for all below) none of which is part of another.
pub fn localities(checks: &mut Checks, field: &str, found: &[&str]) {
    let mut seen: Vec<(&str, Vec<&str>)> = Vec::new();
    for &locality in found {
        let mut parts: Vec<&str> = locality.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            let message = format!("{locality:?} is no locality");
            checks.error(field, message, "write REGION/ZONE/SUBZONE");
            continue;
        }
        while parts.last() == Some(&"*") {
            parts.pop();
        }
        if parts.contains(&"*") {
            let message = format!("{locality:?} has * before a name");
            checks.error(field, message, "write * last");
            continue;
        }
        let overlap = seen
            .iter()
            .find(|(_, other)| parts.starts_with(other) || other.starts_with(&parts));
        if let Some((other, _)) = overlap {
            let message = format!("{locality} and {other} overlap");
            checks.error(field, message, "remove one");
        }
        seen.push((locality, parts));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::testing::fields, *};

    fn found(value: Value, detects: bool) -> Vec<String> {
        let outlier = OutlierDetection::default();
        let check = |checks: &mut Checks, field: &str, found: &LocalityLb| {
            by_locality(checks, field, found, Some(&outlier).filter(|_| detects));
        };
        fields(check, value)
    }

    #[test]
    fn shares_come_to_a_hundred() {
        let shares = |to: Value| found(json!({"distribute": [{"from": "a", "to": to}]}), true);
        assert!(shares(json!({"a/b": 80, "a/c": 20})).is_empty());
        assert_eq!(shares(json!({"a/b": 80, "a/c": 19})), ["distribute[0].to"]);
        assert_eq!(shares(json!({"a/b": 100, "a/c": 0})), ["distribute[0].to"]);
    }

    #[test]
    fn places_do_not_overlap() {
        let count = |places: &[&str]| {
            let mut checks = Checks::default();
            localities(&mut checks, "x", places);
            checks.problems.len()
        };
        assert_eq!(count(&["a/b/c", "a/b/d", "a/c", "b"]), 0);
        assert_eq!(count(&["a/b/*", "a/c/*"]), 0);
        for wrong in [
            ["*", "a/b"],
            ["a", "a/b/c"],
            ["a/b/*", "a/b/c"],
            ["a/b", "a/b"],
        ] {
            assert_eq!(count(&wrong), 1, "{wrong:?}");
        }
        for wrong in ["", "a//c", "a/*/c", "a/b/c/d"] {
            assert_eq!(count(&[wrong]), 1, "{wrong}");
        }
    }

    #[test]
    fn regions_fail_over_to_others() {
        let to =
            |from: &str, to: &str| found(json!({"failover": [{"from": from, "to": to}]}), true);
        assert!(to("a", "b").is_empty());
        assert_eq!(to("a", "a"), ["failover[0]"]);
        assert_eq!(to("a/z", "*"), ["failover[0]"]);
        let failover = json!([{"from": "a", "to": "b"}]);
        assert_eq!(found(json!({"failover": failover}), false), ["x"]);
        let twice = json!({"failover": failover, "failoverPriority": [PLACES[1]]});
        assert_eq!(found(twice, true), ["failoverPriority"]);
        let apart = json!({"failover": failover, "failoverPriority": ["version"]});
        assert!(found(apart, true).is_empty());
    }

    #[test]
    fn zones_have_no_subzones() {
        let check = |checks: &mut Checks, field: &str, found: &ZoneAwareLb| {
            by_zone(checks, field, found, None);
        };
        let found = fields(check, json!({"failoverPriority": ["version", PLACES[2]]}));
        assert_eq!(found, ["failoverPriority[1]", "x"]);
    }
}
