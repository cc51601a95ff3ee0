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
    if let Some(subset) = to.subset.as_ref().filter(|subset| !subset.is_empty())
        && !names::is_domain_part(subset)
    {
        checks.error(
            format!("{field}.subset"),
            format!("{subset:?} is not the name of a subset"),
            "use letters, digits and -",
        );
    }
    checks.port_selector(&format!("{field}.port"), to.port);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::of_virtual_service;

    fn errors(route: Value) -> Vec<String> {
        of_virtual_service(json!({"hosts": ["catalog"], "tcp": [{"route": route}]})).0
    }

    #[test]
    fn weights_are_relative_and_not_negative() {
        let of = |weight: &i64| json!({"destination": {"host": "catalog"}, "weight": weight});
        let rule = |weights: &[i64]| errors(weights.iter().map(of).collect());
        assert!(rule(&[0]).is_empty() && rule(&[1, 0, 999]).is_empty());
        assert_eq!(rule(&[0, 0]), ["spec.tcp[0].route"]);
        assert_eq!(rule(&[-1, 2]), ["spec.tcp[0].route[0].weight"]);
        assert_eq!(rule(&[1 << 32, 2]), ["spec.tcp[0].route[0].weight"]);
        assert_eq!(rule(&[1; 17]), ["spec.tcp[0].route"]);
    }

    #[test]
    fn destinations_are_somewhere() {
        for host in ["*", "", "a b", "shop/catalog"] {
            let found = errors(json!([{"destination": {"host": host}}]));
            assert_eq!(found, ["spec.tcp[0].route[0].destination.host"], "{host}");
        }
        let subset = |subset: &str| {
            errors(json!([{"destination": {"host": "catalog", "subset": subset}}])).len()
        };
        assert_eq!((subset("V1"), subset(""), subset("v_1")), (0, 0, 1));
    }
}
