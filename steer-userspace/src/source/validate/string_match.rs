//! `StringMatch`: one way to compare, and a regular expression that can be used.

use regex::Regex;

use super::checks::Checks;
use crate::source::istio::StringMatch;

/// Envoy may not take longer regular expressions.
const REGEX_MAX: usize = 1024;

/// A regular expression of RE2, as far as this engine knows its syntax.
pub(super) fn regex(checks: &mut Checks, field: &str, text: &str) {
    if text.len() > REGEX_MAX {
        let message = format!("the regular expression is longer than {REGEX_MAX} bytes");
        return checks.error(field, message, "use a prefix, or several conditions");
    }
    if let Err(error) = Regex::new(&format!("^(?:{text})$")) {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        checks.error(
            field,
            format!("the regular expression cannot be used: {reason}"),
            "see RE2's syntax",
        );
    }
}

/// What may stand in a comparison that elsewhere may not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allow {
    /// Nothing.
    Plain,
    /// An empty prefix: paths.
    EmptyPrefix,
    /// The regular expression `*`, which asks for presence: headers that must not be there.
    Presence,
}

/// `exact`, `prefix` or `regex`, one of them.
pub(super) fn string_match(checks: &mut Checks, field: &str, value: &StringMatch, allow: Allow) {
    let given = [&value.exact, &value.prefix, &value.regex];
    if given.iter().filter(|given| given.is_some()).count() > 1 {
        checks.error(
            field,
            "exact, prefix and regex exclude each other",
            "leave one of them",
        );
    }
    if value.prefix.as_deref() == Some("") && allow != Allow::EmptyPrefix {
        checks.error(
            format!("{field}.prefix"),
            "an empty prefix fits everything",
            "leave the condition out",
        );
    }
    match value.regex.as_deref() {
        Some("") => checks.error(
            format!("{field}.regex"),
            "an empty regular expression fits nothing but the empty value",
            "write what shall fit, or .* for anything",
        ),
        None => {}
        Some("*") if allow == Allow::Presence => {}
        Some(text) => regex(checks, &format!("{field}.regex"), text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::fields, *};

    #[test]
    fn one_way_to_compare_that_says_something() {
        let found = |value: serde_json::Value, allow: Allow| {
            fields(
                |checks, field, value| string_match(checks, field, value, allow),
                value,
            )
        };
        assert!(found(json!({}), Allow::Plain).is_empty());
        assert!(found(json!({"exact": ""}), Allow::Plain).is_empty());
        assert!(found(json!({"regex": "/v[0-9]+/.*"}), Allow::Plain).is_empty());
        assert_eq!(
            found(json!({"exact": "a", "prefix": "b"}), Allow::Plain),
            ["x"]
        );
        assert_eq!(found(json!({"prefix": ""}), Allow::Plain), ["prefix"]);
        assert!(found(json!({"prefix": ""}), Allow::EmptyPrefix).is_empty());
        assert!(found(json!({"regex": "*"}), Allow::Presence).is_empty());
        for regex in ["", "*", "(a", &"a".repeat(1025)] {
            assert_eq!(found(json!({"regex": regex}), Allow::Plain), ["regex"]);
        }
    }
}
