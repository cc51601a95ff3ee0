//! Values -> typed content: which field has the wrong type, and which fields nobody read.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is wrong with a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct WrongField {
    /// Its path.
    pub(super) field: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: &'static str,
}

/// Content, and the paths of the fields that it does not have.
pub(super) type Typed<T> = (Result<T, WrongField>, Vec<String>);

/// Reads `value`, which stands at the path `root`.
pub(super) fn read<T: DeserializeOwned + Default>(root: &str, mut value: Value) -> Typed<T> {
    if value.is_null() {
        return (Ok(T::default()), Vec::new());
    }
    without_nulls(&mut value, "");
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = serde_ignored::deserialize(deserializer, |path| {
        unknown.push(join(root, &field_path(&path.to_string())));
    });
    let result = result.map_err(|error| {
        let field = join(root, track.path().to_string().trim_start_matches('.'));
        let (message, help) = explain(&error.to_string());
        WrongField {
            message: format!("{field}: {message}"),
            field,
            help,
        }
    });
    (result, unknown)
}

/// Maps from names that users choose: there, null is a value, and a wrong one. To drop it would
/// drop a condition, and make a rule or subset wider than it was meant.
const MAPS: [&str; 11] = [
    "add",
    "customTags",
    "headers",
    "labels",
    "matchLabels",
    "queryParams",
    "selector",
    "set",
    "sourceLabels",
    "to",
    "withoutHeaders",
];

/// A field that is null counts as absent, as an API server has it.
fn without_nulls(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            if !MAPS.contains(&name) {
                map.retain(|_, value| !value.is_null());
            }
            for (key, value) in map {
                without_nulls(value, key);
            }
        }
        Value::Array(items) => {
            for item in items {
                without_nulls(item, "");
            }
        }
        _ => {}
    }
}

/// What serde says, in the words of YAML.
fn explain(error: &str) -> (String, &'static str) {
    const SEE: &str = "see the field's type in the reference of its kind";
    let Some((found, expected)) = error
        .strip_prefix("invalid type: ")
        .or_else(|| error.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return (error.to_owned(), SEE);
    };
    let due = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number that is not negative",
        "i32" => "a whole number of 32 bits",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        text if text.starts_with("struct ") => "a mapping",
        text => text,
    };
    let found = match found {
        "map" => "a mapping",
        "sequence" => "a list",
        text => text,
    };
    let is_number = due.starts_with("a whole number");
    let quoted = found
        .strip_prefix("string ")
        .map(|text| text.trim_matches('"'));
    let help = match quoted {
        Some(text) if is_number && text.parse::<i64>().is_ok() => "write the number without quotes",
        Some("true" | "false") if due == "true or false" => "write it without quotes",
        Some("yes" | "no" | "on" | "off") if due == "true or false" => "write true or false",
        None if due == "a string" && !found.starts_with("a ") => "write it in quotes",
        _ => SEE,
    };
    (format!("{found} is not {due}"), help)
}

/// `root` and a path below it.
pub(super) fn join(root: &str, path: &str) -> String {
    match (root, path) {
        (root, "" | ".") => root.to_owned(),
        ("", path) => path.to_owned(),
        (root, path) if path.starts_with('[') => format!("{root}{path}"),
        (root, path) => format!("{root}.{path}"),
    }
}

/// `serde_ignored` writes `http.0.route.?.x`; fields are written `http[0].route.x`.
fn field_path(path: &str) -> String {
    let mut text = String::new();
    for part in path.split('.').filter(|&part| part != "?") {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.extend(["[", part, "]"]);
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::{
        core::Service,
        istio::{DestinationRule, VirtualService},
    };

    fn wrong<T: DeserializeOwned + Default>(value: Value) -> (String, &'static str) {
        let Err(wrong) = read::<T>("spec", value).0 else {
            return ("nothing".to_owned(), "");
        };
        (wrong.message, wrong.help)
    }

    #[test]
    fn wrong_types_name_the_field_and_what_is_due() {
        assert_eq!(
            wrong::<Service>(json!({"ports": [{"port": "80"}]})),
            (
                "spec.ports[0].port: string \"80\" is not a whole number from 0 to 65535"
                    .to_owned(),
                "write the number without quotes"
            )
        );
        let (message, help) =
            wrong::<DestinationRule>(json!({"subsets": [{"labels": {"version": 1}}]}));
        assert_eq!(
            message,
            "spec.subsets[0].labels.version: integer `1` is not a string"
        );
        assert_eq!(help, "write it in quotes");
        let (message, _) = wrong::<VirtualService>(json!({"http": {"route": 1}}));
        assert_eq!(message, "spec.http: a mapping is not a list");
        let (message, _) = wrong::<VirtualService>(
            json!({"http": [{"retries": {"attempts": 1, "perTryTimeout": "soon"}}]}),
        );
        assert_eq!(
            message,
            "spec.http[0].retries.perTryTimeout: string \"soon\" is not a duration such as 1.5s or \
             1m30s"
        );
    }

    #[test]
    fn null_is_absent_but_never_widens_a_selection() {
        let (spec, unknown) = read::<VirtualService>("spec", json!({"http": null, "tls": null}));
        assert_eq!((spec, unknown), (Ok(VirtualService::default()), Vec::new()));
        let (message, _) =
            wrong::<VirtualService>(json!({"http": [{"match": [{"headers": {"x": null}}]}]}));
        assert_eq!(
            message,
            "spec.http[0].match[0].headers.x: null is not a mapping"
        );
        let (message, _) = wrong::<VirtualService>(json!({"http": [{"match": [null]}]}));
        assert_eq!(message, "spec.http[0].match[0]: null is not a mapping");
    }

    #[test]
    fn unknown_fields_are_told_at_any_depth() {
        let value = json!({"hosts": ["a"], "htpp": [], "http": [
            {"route": [{"destination": {"hots": "b"}}], "retries": {"attempt": 1}}]});
        let (_, unknown) = read::<VirtualService>("spec", value);
        assert_eq!(
            unknown,
            [
                "spec.htpp",
                "spec.http[0].retries.attempt",
                "spec.http[0].route[0].destination.hots"
            ]
        );
    }
}
