//! What becomes of one object when a client applies or deletes it.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    owned::{self, Owners},
    store::{Resource, Store},
};

/// A status of HTTP, and why.
pub(super) type Refused = (u16, String);

/// Which object.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) resource: &'a Resource,
    /// Empty if its kind is in none.
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl Target<'_> {
    /// As the server says it.
    pub(super) fn not_found(&self) -> Refused {
        let Resource { plural, group, .. } = self.resource;
        let dot = if group.is_empty() { "" } else { "." };
        (
            404,
            format!("{plural}{dot}{group} \"{}\" not found", self.name),
        )
    }

    /// The object as it is kept.
    pub(super) fn found(&self, store: &Store) -> Result<Value, Refused> {
        let found = store.get(&self.resource.id, self.namespace, self.name);
        found.cloned().ok_or_else(|| self.not_found())
    }

    fn key(&self) -> (String, String) {
        (self.namespace.to_owned(), self.name.to_owned())
    }
}

/// Who put objects before anybody applied them.
const OTHER: &str = "kubectl";

/// Applies for a manager; a dry run changes nothing. The status of HTTP says whether it is new.
pub(super) fn apply(
    store: &mut Store,
    target: Target<'_>,
    wanted: &Value,
    manager: &str,
    force: bool,
    dry: bool,
) -> Result<(u16, Value), Refused> {
    let Target {
        resource,
        namespace,
        ..
    } = target;
    if resource.is_namespaced() && store.get("namespaces", "", namespace).is_none() {
        return Err((404, format!("namespaces \"{namespace}\" not found")));
    }
    let current = store.get(&resource.id, namespace, target.name).cloned();
    let owners = match (&current, store.owners(&resource.id, &target.key())) {
        (_, Some(owners)) => owners.clone(),
        (Some(current), None) => owned::all_of(OTHER, current),
        (None, None) => Owners::new(),
    };
    let before = current.clone().unwrap_or_else(|| json!({}));
    let merged = owned::apply(&before, owners, wanted, manager, force);
    let owned::Merged { mut object, owners } = merged.map_err(|conflicts| (409, conflicts))?;
    let managers = owners.keys();
    let managers = managers.map(|name| json!({"manager": name, "operation": "Apply"}));
    object["metadata"]["managedFields"] = managers.collect();
    let code = if current.is_none() { 201 } else { 200 };
    if object == before {
        return Ok((code, object));
    }
    if object["spec"] != before["spec"] {
        let generation = before["metadata"]["generation"].as_u64();
        object["metadata"]["generation"] = json!(generation.unwrap_or_default() + 1);
    }
    if !dry {
        object = store.keep(&resource.id, target.key(), object);
        store.own(&resource.id, target.key(), owners);
    }
    Ok((code, object))
}

/// Creates what is not there.
pub(super) fn create(
    store: &mut Store,
    target: Target<'_>,
    sent: &Value,
) -> Result<(u16, Value), Refused> {
    let Target {
        resource,
        namespace,
        name,
    } = target;
    if store.get(&resource.id, namespace, name).is_some() {
        return Err((
            409,
            format!("{} \"{name}\" already exists", resource.plural),
        ));
    }
    let mut object = sent.clone();
    object["metadata"]["namespace"] = json!(namespace);
    Ok((201, store.keep(&resource.id, target.key(), object)))
}

/// Replaces what is there, unless it has another version than the client knows. Status and the rest are
/// written apart from each other.
pub(super) fn replace(
    store: &mut Store,
    target: Target<'_>,
    sent: &Value,
    status: bool,
    becomes: impl Fn(Value, Value) -> Value,
) -> Result<(u16, Value), Refused> {
    let found = target.found(store)?;
    let known = &sent["metadata"]["resourceVersion"];
    if !known.is_null() && *known != found["metadata"]["resourceVersion"] {
        return Err((409, "the object has been modified".to_owned()));
    }
    let mut object = becomes(found.clone(), sent.clone());
    if status {
        let said = object["status"].take();
        object = found.clone();
        object["status"] = said;
    } else if !found["status"].is_null() {
        object["status"] = found["status"].clone();
    }
    object["metadata"]["uid"] = found["metadata"]["uid"].clone();
    if object == found {
        return Ok((200, found));
    }
    Ok((200, store.keep(&target.resource.id, target.key(), object)))
}

/// A merge patch (RFC 7396).
pub(super) fn merged(mut object: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    if !object.is_object() {
        object = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            if let Some(fields) = object.as_object_mut() {
                fields.remove(&name);
            }
        } else {
            object[&name] = merged(object[&name].take(), value);
        }
    }
    object
}

/// Deletes; with a namespace goes what is in it.
pub(super) fn delete(
    store: &mut Store,
    target: Target<'_>,
    dry: bool,
) -> Result<(u16, Value), Refused> {
    let Target { resource, name, .. } = target;
    let found = target.found(store)?;
    let failed = |error: anyhow::Error| (500, error.to_string());
    if !dry {
        if resource.plural == "namespaces" {
            for (id, inside) in store.inside(name) {
                store.delete(&id, name, &inside).map_err(failed)?;
            }
        }
        store
            .delete(&resource.id, target.namespace, name)
            .map_err(failed)?;
    }
    Ok((200, found))
}
