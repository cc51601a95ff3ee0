//! Where a rule sends what it matches: destinations and their weights.

use steer_common::limits::DESTINATIONS_MAX;

use super::{checks::Checks, names};
use crate::{
    finding::{Severity, codes},
    source::istio::Destination,
};

/// A destination and its weight.
pub(super) type Weighted<'a> = (&'a Destination, i64);

/// Weights are relative, of 32 bits (Istio has 31), not negative, and not all 0.
pub(super) fn destinations(checks: &mut Checks, field: &str, route: &[Weighted<'_>]) {
    if route.len() > DESTINATIONS_MAX {
        let count = route.len();
        checks.say(
            Severity::Error,
            codes::OVER_LIMIT,
            format!("{field}.route"),
            format!("it has {count} destinations; {DESTINATIONS_MAX} fit"),
            "leave out destinations of weight 0, or join some in a subset",
        );
    }
    for (index, (to, weight)) in route.iter().enumerate() {
        let field = format!("{field}.route[{index}]");
        destination(checks, &format!("{field}.destination"), to);
        self::weight(checks, &format!("{field}.weight"), *weight);
    }
    if route.len() > 1 && route.iter().all(|(_, weight)| *weight == 0) {
        checks.error(
            format!("{field}.route"),
            "all weights are 0, so nobody gets anything",
            "give one destination a weight",
        );
    }
}

fn weight(checks: &mut Checks, field: &str, weight: i64) {
    if weight < 0 {
        checks.error(
            field,
            format!("{weight} is negative"),
            "use 0 for a destination that gets nothing",
        );
    } else if u32::try_from(weight).is_err() {
        checks.error(
            field,
            format!("{weight} is larger than {}", u32::MAX),
            "weights are relative: divide them",
        );
    }
}

/// A host, perhaps a subset of it, perhaps a port.
pub(super) fn destination(checks: &mut Checks, field: &str, to: &Destination) {
    let host = format!("{field}.host");
    if to.host == "*" {
        checks.error(&host, "* is no destination", "name a host of the registry");
    } else {
        checks.host(&host, &to.host);
    }
    if let Some(subset) = &to.subset
        && !names::is_label(subset)
    {
        checks.error(
            format!("{field}.subset"),
            format!("{subset:?} is not the name of a subset"),
            "use lower-case letters, digits and -",
        );
    }
    checks.port_selector(&format!("{field}.port"), to.port);
}
