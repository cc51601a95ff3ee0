//! Balancing by locality and by zone.

use super::checks::Checks;
use crate::source::istio::{Failover, LocalityLb, OutlierDetection, ZoneAwareLb};

/// `localityLbSetting`.
pub fn by_locality(
    checks: &mut Checks,
    field: &str,
    setting: &LocalityLb,
    outlier: Option<&OutlierDetection>,
) {
    let ways = [
        !setting.distribute.is_empty(),
        !setting.failover.is_empty() || !setting.failover_priority.is_empty(),
    ];
    if ways == [true, true] {
        checks.error(field, "distribute excludes failover", "leave one of them");
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
