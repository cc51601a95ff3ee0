//! One list and watch: what it finds, and what becomes of it when the server does not know the kind, is
//! away, or refuses.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::{DynamicResourceScope, metadata::PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use super::{
    super::cluster::{Change, Depth, Watched, trouble},
    served::Served,
    watches::Watch,
};
use crate::finding::{Finding, chain};

/// A kind that the API server does not know may be one that it has not read yet.
const UNKNOWN_TRIES: u32 = 3;
const UNKNOWN_RETRY: Duration = Duration::from_millis(500);
/// The longest pause between tries while the server is away.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A watch that is quiet for longer than that and a try has come back: by itself it says so only when
/// something changes.
const RECOVERED: Duration = Duration::from_secs(12);

/// Why a watch ended.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server does not know the resource; whether it did.
    Unknown { was_known: bool },
}

/// Tells of everything that a watch finds, until nobody listens.
pub(super) async fn follow(
    client: Client,
    watch: Watch,
    served: Arc<Served>,
    changes: Sender<(Watched, Change)>,
) {
    let mut tries = 0;
    loop {
        let resources = if watch.may_be_missing {
            served.offered(&watch.resources).await
        } else {
            watch.resources.iter().collect()
        };
        for resource in resources {
            match tell(&client, &watch, resource, &changes).await {
                End::Unheard => return,
                End::Unknown { was_known } if was_known => tries = 0,
                End::Unknown { .. } => {}
            }
        }
        tries += 1;
        if tries < UNKNOWN_TRIES {
            sleep(UNKNOWN_RETRY).await;
            continue;
        }
        let change = (watch.watched, Change::Unknown);
        if changes.send(change).await.is_err() {
            return;
        }
        served.wait_for(&watch.resources).await;
    }
}

/// Tells of everything that is found of a resource.
async fn tell(
    client: &Client,
    watch: &Watch,
    resource: &ApiResource,
    changes: &Sender<(Watched, Change)>,
) -> End {
    let mut events = events(client, watch, resource);
    let mut list = Vec::new();
    let (mut was_known, mut troubled) = (false, false);
    loop {
        let longest = if troubled { RECOVERED } else { Duration::MAX };
        let change = match timeout(longest, events.next()).await {
            Err(_quiet) => Change::Recovered,
            // It does not end by itself: errors are in it, and it waits after each.
            Ok(None) => return End::Unheard,
            Ok(Some(Ok(Event::Init))) => {
                list.clear();
                continue;
            }
            Ok(Some(Ok(Event::InitApply(value)))) => {
                list.push(value);
                continue;
            }
            Ok(Some(Ok(Event::InitDone))) => Change::Listed(std::mem::take(&mut list)),
            Ok(Some(Ok(Event::Apply(value)))) => Change::Put(value),
            Ok(Some(Ok(Event::Delete(value)))) => Change::Gone(value),
            Ok(Some(Err(error))) if watch.may_be_missing && status(&error) == Some(404) => {
                return End::Unknown { was_known };
            }
            Ok(Some(Err(error))) => Change::Trouble(told(watch, resource, &error)),
        };
        troubled = matches!(change, Change::Trouble(_));
        was_known |= !troubled;
        if changes.send((watch.watched, change)).await.is_err() {
            return End::Unheard;
        }
    }
}

/// Pauses between tries. Their random part tells nodes apart before the longest is reached.
#[derive(Default)]
struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(PAUSE_MAX))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// What happens to the objects of a resource, as the values that files hold.
fn events(
    client: &Client,
    watch: &Watch,
    resource: &ApiResource,
) -> BoxStream<'static, Result<Event<Value>, watcher::Error>> {
    let mut config = watcher::Config::default();
    config.field_selector.clone_from(&watch.fields);
    let (namespace, resource) = (watch.namespace.as_deref(), resource.clone());
    match watch.watched.depth {
        Depth::Whole => {
            let api: Api<DynamicObject> = api(client, namespace, &resource);
            valued(watcher(api, config), move |object| whole(object, &resource))
        }
        Depth::Metadata | Depth::Named => {
            let api: Api<PartialObjectMeta<DynamicObject>> = api(client, namespace, &resource);
            valued(watcher(api, config), move |object| {
                metadata(object, &resource)
            })
        }
    }
}

fn api<T: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>>(
    client: &Client,
    namespace: Option<&str>,
    resource: &ApiResource,
) -> Api<T> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

fn valued<T: Send + 'static>(
    events: impl Stream<Item = Result<Event<T>, watcher::Error>> + Send + 'static,
    value: impl Fn(T) -> Value + Send + 'static,
) -> BoxStream<'static, Result<Event<Value>, watcher::Error>> {
    let event = move |event| match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(value(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(value(object)),
        Event::Delete(object) => Event::Delete(value(object)),
    };
    let events = events.backoff(Pauses::default());
    events.map(move |found| found.map(&event)).boxed()
}

/// Lists leave out what each of their objects is.
fn whole(mut object: DynamicObject, resource: &ApiResource) -> Value {
    object.metadata.managed_fields = None;
    let mut value = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": object.metadata,
    });
    if let (Value::Object(whole), Value::Object(data)) = (&mut value, object.data) {
        whole.extend(data);
    }
    value
}

fn metadata(mut object: PartialObjectMeta<DynamicObject>, resource: &ApiResource) -> Value {
    object.metadata.managed_fields = None;
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": object.metadata,
    })
}

/// The HTTP status of an error, if the server sent one.
fn status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

fn told(watch: &Watch, resource: &ApiResource, error: &watcher::Error) -> Finding {
    let name = if resource.group.is_empty() {
        resource.plural.clone()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    };
    let (message, help) = match status(error) {
        Some(401) => (
            format!("{name}: the API server does not accept the credentials"),
            "check the service account, or the kubeconfig",
        ),
        Some(403) => (
            format!("{name}: the agent may not list or watch them"),
            "give its service account get, list and watch on them",
        ),
        _ => (
            format!("{name}: {}", chain(error)),
            "what is in force stays in force; it is tried again",
        ),
    };
    trouble(watch.watched, message, help)
}
