//! One object over HTTP: read, applied on the server's side, deleted.

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;
use hyper::{Method, Request, Response, body::Incoming, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    Shared,
    http::{Body, full, response, status_of},
    lock,
    object::{self, Refused, Target},
    store::{Resource, Store},
};

/// What is to be done to which object.
pub(super) struct Asked {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    /// Empty for one that is to be created.
    pub(super) name: String,
    /// Its status alone.
    pub(super) status: bool,
    pub(super) query: BTreeMap<String, String>,
}

/// Answers a request for one object.
pub(super) async fn answer(
    shared: &Shared,
    asked: Asked,
    request: Request<Incoming>,
) -> Response<Body> {
    let method = request.method().clone();
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let Ok(body) = request.into_body().collect().await else {
        return status_of(400, "the body ends too soon");
    };
    let body = body.to_bytes();
    let is_sent_as = |name: &str| kind.as_ref().is_some_and(|kind| kind == name);
    let mut store = lock(&shared.store);
    let done = match method {
        Method::GET => read(&store, target(&asked)),
        Method::PATCH if is_sent_as("application/apply-patch+yaml") => {
            apply(&mut store, &asked, &body)
        }
        Method::PATCH if is_sent_as("application/merge-patch+json") => {
            replace(&mut store, &asked, &body, object::merged)
        }
        Method::PATCH => Err((
            415,
            "the server does not know this kind of patch".to_owned(),
        )),
        Method::PUT => replace(&mut store, &asked, &body, |_, wanted| wanted),
        Method::POST => create(&mut store, &asked, &body),
        Method::DELETE => delete(&mut store, &asked, &body),
        _ => Err((405, "the server does not allow this method".to_owned())),
    };
    shared.version.send_replace(store.version());
    match done {
        Ok((code, object)) => response(code, full(object.to_string())),
        Err((code, message)) => status_of(code, &message),
    }
}

type Done = Result<(u16, Value), Refused>;

fn read(store: &Store, target: Target<'_>) -> Done {
    Ok((200, target.found(store)?))
}

fn apply(store: &mut Store, asked: &Asked, body: &[u8]) -> Done {
    let wanted: Value = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    let Some(manager) = asked.query.get("fieldManager") else {
        return Err((400, "fieldManager is required for apply patch".to_owned()));
    };
    let is =
        |field: &str, value: Option<&str>| wanted.pointer(field).and_then(Value::as_str) == value;
    if !is("/kind", Some(&asked.resource.kind))
        || !is("/apiVersion", Some(&asked.resource.api_version()))
        || !is("/metadata/name", Some(&asked.name))
        || !is("/metadata/namespace", asked.namespace.as_deref())
    {
        return Err((400, "the object is not the one of the path".to_owned()));
    }
    let says = |field: &str, value: &str| asked.query.get(field).is_some_and(|said| said == value);
    let (force, dry) = (says("force", "true"), says("dryRun", "All"));
    object::apply(store, target(asked), &wanted, manager, force, dry)
}

/// Replaces an object by what it becomes with what the client sends.
fn replace(
    store: &mut Store,
    asked: &Asked,
    body: &[u8],
    becomes: impl Fn(Value, Value) -> Value,
) -> Done {
    let sent: Value = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    object::replace(store, target(asked), &sent, asked.status, becomes)
}

fn create(store: &mut Store, asked: &Asked, body: &[u8]) -> Done {
    let sent: Value = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
    let name = sent["metadata"]["name"].as_str().unwrap_or_default();
    let target = Target {
        name,
        ..target(asked)
    };
    object::create(store, target, &sent)
}

fn delete(store: &mut Store, asked: &Asked, body: &[u8]) -> Done {
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let dry = options["dryRun"] == json!(["All"]);
    object::delete(store, target(asked), dry)
}

fn target(asked: &Asked) -> Target<'_> {
    Target {
        resource: &asked.resource,
        namespace: asked.namespace.as_deref().unwrap_or_default(),
        name: &asked.name,
    }
}
