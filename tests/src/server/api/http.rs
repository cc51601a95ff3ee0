//! The API over HTTP.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{ACCEPT, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::sleep};

use super::{
    Faults, Right, Shared, lock,
    right::Wish,
    store::{Resource, Wanted},
    write,
};

/// How often a quiet watch is told how far the server is.
const BOOKMARK_EVERY: Duration = Duration::from_millis(500);
/// How long a watch may last if the client does not say.
const WATCH_MAX: Duration = Duration::from_mins(5);

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Serves until it is stopped.
pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut stop = shared.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else { return };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let mut stop = shared.stop.subscribe();
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // What a client does wrong is told to it.
                _ = connection => {}
                _ = cut.changed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// What is asked for.
struct Asked {
    resource: Resource,
    wanted: Wanted,
    query: BTreeMap<String, String>,
    metadata_only: bool,
    /// One object is meant, of this name.
    object: Option<String>,
    /// Its status alone is.
    status: bool,
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let uri = request.uri();
    lock(&shared.store).note(format!("{} {uri}", request.method()));
    let faults = lock(&shared.faults).clone();
    if let Some(delay) = faults.slow {
        sleep(delay).await;
    }
    if let Some(status) = faults.down {
        return status_of(status, "the server is down");
    }
    if uri.path() == "/apis" {
        let groups = lock(&shared.store).groups();
        return response(200, full(groups.to_string()));
    }
    let Some(asked) = asked(shared, &request) else {
        return status_of(404, "the server could not find the requested resource");
    };
    let plural = &asked.resource.plural;
    if let Some((_, status)) = faults.status.iter().find(|(name, _)| name == plural) {
        return status_of(*status, &format!("{plural}: as you wished"));
    }
    let is_refused = |rights: &Vec<Right>| !may(rights, request.method(), &asked);
    if faults.rights.as_ref().is_some_and(is_refused) {
        return status_of(403, &format!("{plural} is forbidden"));
    }
    if asked.object.is_some() || request.method() == Method::POST {
        let asked = write::Asked {
            resource: asked.resource,
            namespace: asked.wanted.namespace,
            name: asked.object.unwrap_or_default(),
            status: asked.status,
            query: asked.query,
        };
        return write::answer(shared, asked, request).await;
    }
    let is = |field: &str| {
        asked
            .query
            .get(field)
            .is_some_and(|value| value == "true" || value == "1")
    };
    if is("watch") {
        watch(shared, asked, &faults)
    } else {
        list(shared, &asked, &faults)
    }
}

fn may(rights: &[Right], method: &Method, asked: &Asked) -> bool {
    let is_watch = asked.query.contains_key("watch");
    let verb = match (method.as_str(), &asked.object) {
        ("GET", Some(_)) => "get",
        ("GET", None) if is_watch => "watch",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        (other, _) => other,
    };
    let plural = &asked.resource.plural;
    let resource = if asked.status {
        format!("{plural}/status")
    } else {
        plural.clone()
    };
    let wish = Wish {
        verb,
        group: &asked.resource.group,
        resource: &resource,
        namespace: asked.wanted.namespace.as_deref(),
        name: asked.object.as_deref().or(asked.wanted.name.as_deref()),
    };
    rights.iter().any(|right| right.allows(&wish))
}

fn asked(shared: &Shared, request: &Request<Incoming>) -> Option<Asked> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let (group, version, rest) = match path.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (rest, status) = match rest {
        [rest @ .., "status"] if rest.len() > 1 => (rest, true),
        rest => (rest, false),
    };
    let (namespace, plural, object) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return None,
    };
    let query: BTreeMap<String, String> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let field = |name: &str| {
        let fields = query.get("fieldSelector")?;
        fields.split(',').find_map(|pair| {
            pair.strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        })
    };
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let accept = accept.unwrap_or_default();
    Some(Asked {
        resource: lock(&shared.store).resource(group, version, plural)?,
        wanted: Wanted {
            namespace: namespace.map(str::to_owned),
            name: field("metadata.name"),
            node: field("spec.nodeName"),
        },
        metadata_only: accept.contains("as=PartialObjectMetadata"),
        object: object.map(str::to_owned),
        status,
        query,
    })
}

/// `%3D` and the like.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
        out.push(match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                _ => b'?',
            },
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn list(shared: &Shared, asked: &Asked, faults: &Faults) -> Response<Body> {
    let store = lock(&shared.store);
    let number = |field: &str| asked.query.get(field)?.parse::<usize>().ok();
    // Where the next page begins, and which version its first page had.
    let token = asked.query.get("continue").and_then(|text| {
        let (at, version) = text.split_once('@')?;
        Some((at.parse::<usize>().ok()?, version.parse::<u64>().ok()?))
    });
    let (start, version) = token.unwrap_or((0, store.version()));
    if store.is_gone(version) {
        return status_of(410, "the provided continue parameter is too old");
    }
    let all = store.list(&asked.resource.id, &asked.wanted);
    let limit = [number("limit"), faults.page].into_iter().flatten().min();
    let page: Vec<Value> = all
        .iter()
        .skip(start)
        .take(limit.unwrap_or(usize::MAX))
        .map(|object| shown(object, asked, false))
        .collect();
    let end = start + page.len();
    let more = if end < all.len() {
        format!("{end}@{version}")
    } else {
        String::new()
    };
    let kind = if asked.metadata_only {
        "PartialObjectMetadata".to_owned()
    } else {
        asked.resource.kind.clone()
    };
    let whole = json!({
        "kind": format!("{kind}List"),
        "apiVersion": if asked.metadata_only {
            "meta.k8s.io/v1".to_owned()
        } else {
            asked.resource.api_version()
        },
        "metadata": {"resourceVersion": version.to_string(), "continue": more},
        "items": page,
    });
    response(200, full(whole.to_string()))
}

/// As the client wants to see it. The objects of a list leave out what they are.
fn shown(object: &Value, asked: &Asked, alone: bool) -> Value {
    if asked.metadata_only {
        return json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        });
    }
    let mut shown = object.clone();
    if !alone && let Some(fields) = shown.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    shown
}

fn watch(shared: &Arc<Shared>, asked: Asked, faults: &Faults) -> Response<Body> {
    let number = |field: &str| asked.query.get(field)?.parse::<u64>().ok();
    let from = number("resourceVersion").unwrap_or_default();
    let limit = number("timeoutSeconds").map_or(WATCH_MAX, Duration::from_secs);
    let (sender, mut receiver) = mpsc::channel::<Bytes>(64);
    let (shared, faults) = (Arc::clone(shared), faults.clone());
    tokio::spawn(async move {
        // The client may hang up, or the watch ends in its time.
        let _ended = tokio::time::timeout(limit, tell(shared, asked, from, faults, sender)).await;
    });
    let stream = futures::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|bytes| bytes.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))))
    });
    response(200, StreamBody::new(stream).boxed())
}

async fn tell(
    shared: Arc<Shared>,
    asked: Asked,
    mut from: u64,
    faults: Faults,
    sender: mpsc::Sender<Bytes>,
) {
    let mut version = shared.version.subscribe();
    let bookmarks = asked
        .query
        .get("allowWatchBookmarks")
        .is_some_and(|value| value == "true");
    let mut told = 0;
    loop {
        let (gone, events, now) = {
            let store = lock(&shared.store);
            let events = store.since(from, &asked.resource.id, &asked.wanted);
            (store.is_gone(from), events, store.version())
        };
        if gone {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "reason": "Expired", "message": format!("too old resource version: {from}"),
            });
            // The client asks anew, or has hung up.
            let _ = sender.send(line("ERROR", &status)).await;
            return;
        }
        for event in events {
            if let Some(delay) = faults.slow {
                sleep(delay).await;
            }
            let object = shown(&event.object, &asked, true);
            let whole = line(event.kind, &object);
            // Lines may come in pieces.
            let middle = whole.len() / 2;
            for piece in [whole.slice(..middle), whole.slice(middle..)] {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
            told += 1;
            if faults.events_max.is_some_and(|most| told >= most) {
                return;
            }
        }
        from = now;
        let news = async { version.wait_for(|now| *now > from).await.is_ok() };
        let quiet = tokio::time::timeout(BOOKMARK_EVERY, news).await.is_err();
        if quiet && bookmarks {
            let object = json!({
                "kind": asked.resource.kind, "apiVersion": asked.resource.api_version(),
                "metadata": {"resourceVersion": from.to_string()},
            });
            if sender.send(line("BOOKMARK", &object)).await.is_err() {
                return;
            }
        }
        if sender.is_closed() {
            return;
        }
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    text.into()
}

pub(super) fn status_of(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        400 => "BadRequest",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        _ => "InternalError",
    };
    let whole = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    response(code, full(whole.to_string()))
}

pub(super) fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed()
}

pub(super) fn response(code: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
