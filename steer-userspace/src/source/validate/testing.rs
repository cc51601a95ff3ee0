//! What tests of the rules have in common: a check is run on JSON, and the fields it names count.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Checks, destination_rule, virtual_service};
use crate::{finding::Severity, source::object::Meta};

/// The fields that `check` names in a value at `x`, without `x.`.
pub(super) fn fields<T: DeserializeOwned>(
    check: impl Fn(&mut Checks, &str, &T),
    value: Value,
) -> Vec<String> {
    let mut checks = Checks::default();
    check(&mut checks, "x", &serde_json::from_value(value).unwrap());
    let problems = checks.problems.iter();
    problems
        .map(|problem| problem.field.trim_start_matches("x.").to_owned())
        .collect()
}

/// The fields of a VirtualService of namespace `shop` that are refused, and those warned of.
pub(super) fn of_virtual_service(spec: Value) -> (Vec<String>, Vec<String>) {
    verdict(&virtual_service(
        &meta(),
        &serde_json::from_value(spec).unwrap(),
    ))
}

/// The same of a DestinationRule.
pub(super) fn of_destination_rule(spec: Value) -> (Vec<String>, Vec<String>) {
    verdict(&destination_rule(
        &meta(),
        &serde_json::from_value(spec).unwrap(),
    ))
}

fn meta() -> Meta {
    Meta {
        name: "a".to_owned(),
        namespace: "shop".to_owned(),
        ..Meta::default()
    }
}

/// The fields of errors, and those of warnings.
pub(super) fn verdict(checks: &Checks) -> (Vec<String>, Vec<String>) {
    let at = |severity: Severity| {
        let problems = checks.problems.iter();
        let of = problems.filter(|problem| problem.severity == severity);
        of.map(|problem| problem.field.clone()).collect()
    };
    (at(Severity::Error), at(Severity::Warning))
}
