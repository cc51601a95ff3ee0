//! The edge of `source` that talks to an API server: one list and watch for each kind, told as
//! changes of `cluster`.

use std::{path::PathBuf, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DynamicObject},
    config::{KubeConfigOptions, Kubeconfig},
    core::{DynamicResourceScope, metadata::PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{sleep, timeout},
};

use super::cluster::{Change, Depth, Watched, trouble};
use crate::finding::{Finding, chain};

/// Changes that wait to be taken: what is more waits at the API server.
const WAITING_MAX: usize = 1_024;
/// A kind that the API server does not know may be one that it has not read yet.
const UNKNOWN_TRIES: u32 = 3;
const UNKNOWN_RETRY: Duration = Duration::from_millis(500);
/// The longest pause between tries while the server is away, and the longest try.
const PAUSE_MAX: Duration = Duration::from_secs(8);
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A watch that is quiet for longer than both has come back: by itself it says so only when
/// something changes.
const RECOVERED: Duration = Duration::from_secs(12);
/// How often it is looked for later: its definition may come.
const UNKNOWN_LATER: Duration = Duration::from_secs(10);

const ISTIO: &str = "networking.istio.io";
/// The versions of Istio's API, the newest first; one schema.
const ISTIO_VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];
/// Kinds of Istio, and how a path names them. The last ones are not enforced, and a finding says so.
const ISTIO_KINDS: [(&str, &str); 6] = [
    ("VirtualService", "virtualservices"),
    ("DestinationRule", "destinationrules"),
    ("ServiceEntry", "serviceentries"),
    ("WorkloadEntry", "workloadentries"),
    ("Sidecar", "sidecars"),
    ("Gateway", "gateways"),
];

/// How the API server is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// A kubeconfig; none for `KUBECONFIG`, `~/.kube/config`, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it.
    pub context: Option<String>,
}

/// How the API server is reached, and what of it concerns this node.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// How it is reached.
    pub access: Access,
    /// This node, of whose pods everything is read; of the others, the metadata. None reads
    /// everything of all.
    pub node: Option<String>,
    /// Where the mesh's configuration is.
    pub root_namespace: String,
    /// The ConfigMap there that holds it.
    pub mesh_config: String,
    /// Whether the cluster is told how far rules are enforced.
    pub feedback: bool,
}

/// Why the API server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No kubeconfig, and no service account.
    #[error("finding the API server (--kubeconfig names a file)")]
    Infer(#[from] kube::config::InferConfigError),
    /// The kubeconfig cannot be used.
    #[error("reading the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Its TLS or credentials cannot be used.
    #[error("preparing the client of the API server")]
    Client(#[from] kube::Error),
}

/// Watches a cluster.
pub struct Kubernetes {
    url: String,
    client: Client,
    watched: Vec<Watched>,
    changes: Receiver<(Watched, Change)>,
}

impl Kubernetes {
    /// Starts to watch. Nothing is asked yet: a server that is away is waited for.
    pub async fn start(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        let (client, url) = client(&settings.access).await?;
        let (sender, changes) = channel(WAITING_MAX);
        let watches = watches(settings);
        let watched = watches.iter().map(|watch| watch.watched).collect();
        for watch in watches {
            tokio::spawn(follow(client.clone(), watch, sender.clone()));
        }
        Ok(Self {
            url,
            client,
            watched,
            changes,
        })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What asks it.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Everything that is watched.
    pub fn watched(&self) -> impl Iterator<Item = Watched> + '_ {
        self.watched.iter().copied()
    }

    /// The next change. Safe to cancel.
    pub async fn next(&mut self) -> (Watched, Change) {
        match self.changes.recv().await {
            Some(change) => change,
            // The watches end only with the agent.
            None => std::future::pending().await,
        }
    }
}

/// A client of the API server, and the server's address.
pub(crate) async fn client(access: &Access) -> Result<(Client, String), ClusterError> {
    let mut config = config(access).await?;
    config.connect_timeout = Some(CONNECT_MAX);
    let url = config.cluster_url.to_string();
    Ok((Client::try_from(config)?, url))
}

async fn config(access: &Access) -> Result<Config, ClusterError> {
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    Ok(match (&access.kubeconfig, &access.context) {
        (Some(path), _) => {
            let read = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(read, &options).await?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    })
}

/// One list and watch.
struct Watch {
    watched: Watched,
    /// The same by version; the first that the server knows is watched.
    resources: Vec<ApiResource>,
    namespace: Option<String>,
    fields: Option<String>,
    /// Its definition need not be there.
    may_be_missing: bool,
}

fn watches(settings: &ClusterSettings) -> Vec<Watch> {
    let core = |kind, depth, resource| Watch {
        watched: Watched { kind, depth },
        resources: vec![resource],
        namespace: None,
        fields: None,
        may_be_missing: false,
    };
    let pods = || ApiResource::erase::<Pod>(&());
    let mut all = vec![
        core(
            "Namespace",
            Depth::Whole,
            ApiResource::erase::<Namespace>(&()),
        ),
        core("Service", Depth::Whole, ApiResource::erase::<Service>(&())),
        core(
            "EndpointSlice",
            Depth::Whole,
            ApiResource::erase::<EndpointSlice>(&()),
        ),
        Watch {
            namespace: Some(settings.root_namespace.clone()),
            fields: Some(format!("metadata.name={}", settings.mesh_config)),
            ..core(
                "ConfigMap",
                Depth::Whole,
                ApiResource::erase::<ConfigMap>(&()),
            )
        },
        Watch {
            fields: settings
                .node
                .as_ref()
                .map(|node| format!("spec.nodeName={node}")),
            ..core("Pod", Depth::Whole, pods())
        },
    ];
    if settings.node.is_some() {
        all.push(core("Pod", Depth::Metadata, pods()));
    }
    all.extend(ISTIO_KINDS.into_iter().map(|(kind, plural)| Watch {
        watched: Watched {
            kind,
            depth: Depth::Whole,
        },
        resources: versions(kind, plural),
        namespace: None,
        fields: None,
        may_be_missing: true,
    }));
    all
}

/// A kind of Istio's in each version, the newest first; nothing for other kinds.
pub(crate) fn rule_resources(kind: &str) -> Vec<ApiResource> {
    let mut kinds = ISTIO_KINDS.into_iter();
    let found = kinds.find(|(name, _)| *name == kind);
    found.map_or_else(Vec::new, |(kind, plural)| versions(kind, plural))
}

fn versions(kind: &str, plural: &str) -> Vec<ApiResource> {
    let resource = |version: &&str| ApiResource {
        group: ISTIO.to_owned(),
        version: (*version).to_owned(),
        api_version: format!("{ISTIO}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    ISTIO_VERSIONS.iter().map(resource).collect()
}

/// Why a watch ended.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// The server does not know the resource; whether it did.
    Unknown { was_known: bool },
}

/// Tells of everything that a watch finds, until nobody listens.
async fn follow(client: Client, watch: Watch, changes: Sender<(Watched, Change)>) {
    let mut tries = 0;
    loop {
        for resource in &watch.resources {
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
        sleep(UNKNOWN_LATER).await;
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
        Depth::Metadata => {
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
