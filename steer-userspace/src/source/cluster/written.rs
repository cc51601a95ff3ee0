//! Rules of a cluster as documents, as a file would have them: what says how traffic is meant to go, and
//! which of two rules is older; not what the API server notes of an object for itself.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Depth, Watched};
use crate::source::rules::Document;

/// What of an object's metadata rules depend on.
const METADATA: [&str; 5] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
];
/// Kinds that are no rules, and are many, or are not to be written down.
const FACTS: [&str; 6] = [
    "Pod",
    "EndpointSlice",
    "Service",
    "Secret",
    "Namespace",
    "Node",
];
/// What `kubectl apply` keeps for itself: the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What may be a rule, as a document. None of what is not told whole, or cannot be written.
pub(super) fn document(watched: Watched, file: &Arc<str>, value: &Value) -> Option<Document> {
    if watched.depth != Depth::Whole || FACTS.contains(&watched.kind) {
        return None;
    }
    let Value::Object(whole) = value else {
        return None;
    };
    let fields = whole.iter().filter(|(field, _)| *field != "status");
    let mut fields: Map<String, Value> = fields
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|field, _| METADATA.contains(&field.as_str()));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(LAST_APPLIED);
        }
    }
    let text = serde_saphyr::to_string(&Value::Object(fields)).ok()?;
    Some(Document {
        file: Arc::clone(file),
        line: 0,
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::files::parse_text;

    /// It reads back as the same rule, and what the API server notes is no other one.
    #[test]
    fn a_rule_is_written_without_what_is_noted_of_it() {
        let object = |version: &str| {
            json!({
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {
                    "name": "catalog",
                    "namespace": "shop",
                    "creationTimestamp": "2026-01-05T09:00:00Z",
                    "resourceVersion": version,
                    "generation": 3,
                    "uid": "1-2",
                    "annotations": { LAST_APPLIED: version, "note": "yes: 'no' #\n" },
                },
                "spec": { "host": "catalog", "subsets": [{ "name": "v1", "labels": { "version": "1.10" } }] },
                "status": { "conditions": [version] },
            })
        };
        let file: Arc<str> = "cluster: DestinationRule shop/catalog".into();
        let watched = Watched {
            group: "networking.istio.io",
            kind: "DestinationRule",
            depth: Depth::Whole,
        };
        let written = document(watched, &file, &object("7")).unwrap();
        assert_eq!(
            document(watched, &file, &object("8")),
            Some(written.clone())
        );
        let (objects, findings) = parse_text(&file, &written.text).unwrap();
        assert_eq!(findings, []);
        let [crate::source::parse::Parsed::DestinationRule(rule)] = &objects[..] else {
            panic!("{objects:?}");
        };
        assert_eq!(rule.meta.annotations["note"], "yes: 'no' #\n");
        assert_eq!(rule.meta.annotations.len(), 1);
        assert_eq!(rule.meta.created.to_string(), "2026-01-05T09:00:00Z");
        assert_eq!(rule.spec.subsets[0].labels["version"], "1.10");
    }
}
