//! `metadata` of an object.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    object::{Controller, DEFAULT_NAMESPACE, Meta},
    typed::{self, WrongField},
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<jiff::Timestamp>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(flatten)]
    who: Controller,
    #[serde(default)]
    controller: bool,
}

/// The names of an object, as far as they can be read: findings name it by them.
pub(super) fn names(value: &Value) -> Meta {
    let text = |field: &str| {
        value
            .pointer(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    Meta {
        name: text("/metadata/name").to_owned(),
        namespace: text("/metadata/namespace").to_owned(),
        ..Meta::default()
    }
}

/// Reads the metadata of an object; one that names no namespace is in `default`.
pub(super) fn read(value: &mut Value) -> Result<Meta, WrongField> {
    let metadata = value
        .get_mut("metadata")
        .map(Value::take)
        .unwrap_or_default();
    let read: Metadata = typed::read("metadata", metadata).0?;
    Ok(Meta {
        name: read.name,
        namespace: if read.namespace.is_empty() {
            DEFAULT_NAMESPACE.to_owned()
        } else {
            read.namespace
        },
        labels: read.labels,
        annotations: read.annotations,
        created: read.creation_timestamp.unwrap_or_default(),
        controller: read
            .owner_references
            .into_iter()
            .find(|owner| owner.controller)
            .map(|owner| owner.who),
    })
}
