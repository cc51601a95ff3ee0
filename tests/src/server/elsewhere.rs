//! An API server that somebody else runs, reached by a kubeconfig: objects are made there, and removed
//! again. The agent of a lab reaches it through a port in its own network namespace.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::api::{documents, listen};
use crate::pod::Pod;

/// Who owns the fields that are written.
const MANAGER: &str = "steer-tests";

/// A kind that tests write or read.
struct Known {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const ISTIO: &str = "networking.istio.io";
const KNOWN: [Known; 7] = [
    known("", "v1", "Namespace", "namespaces"),
    known("", "v1", "Service", "services"),
    known("", "v1", "Pod", "pods"),
    known("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    known("events.k8s.io", "v1", "Event", "events"),
    known(ISTIO, "v1", "VirtualService", "virtualservices"),
    known(ISTIO, "v1", "DestinationRule", "destinationrules"),
];

const fn known(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Known {
    Known {
        group,
        version,
        kind,
        plural,
    }
}

/// Such a server, and a namespace there, with which everything else goes when this is dropped.
pub struct Elsewhere {
    runtime: Runtime,
    client: Client,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Elsewhere {
    /// Finds the way to the server that a kubeconfig names, and opens it to `node`, whose kubeconfig is
    /// written into `directory`; its own namespace is `namespace`, which is made.
    pub fn reach(
        kubeconfig: &Path,
        context: Option<&str>,
        namespace: &str,
        node: &Pod,
        directory: &Path,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mut read = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("read {}", kubeconfig.display()))?;
        if let Some(context) = context {
            read.current_context = Some(context.to_owned());
        }
        let options = KubeConfigOptions::default();
        let config = runtime.block_on(Config::from_custom_kubeconfig(read.clone(), &options));
        let config = config.with_context(|| format!("use {}", kubeconfig.display()))?;
        let (scheme, host, port) = parts(&config)?;
        let listener = node.in_network(listen)?;
        let door = listener.local_addr()?;
        let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
        runtime.spawn(forward(listener, format!("{host}:{port}")));
        redirect(&mut read, &format!("{scheme}://{door}"), &host, namespace)?;
        let path = directory.join("kubeconfig");
        std::fs::write(&path, serde_saphyr::to_string(&read)?)?;
        let client = runtime.block_on(async { Client::try_from(config) })?;
        let server = Self {
            runtime,
            client,
            kubeconfig: path,
            namespace: namespace.to_owned(),
        };
        server.apply_one(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
        }))?;
        Ok(server)
    }

    /// The kubeconfig with which the node reaches the server.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes objects what a text of YAML documents says, on the server's side.
    pub fn apply(&self, text: &str) -> Result<()> {
        documents(text)?
            .into_iter()
            .try_for_each(|object| self.apply_one(&object))
    }

    fn apply_one(&self, object: &Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").context("a kind")?;
        let name = text("/metadata/name").context("a name")?;
        let api = self.api(kind, text("/metadata/namespace"))?;
        let parameters = PatchParams::apply(MANAGER).force();
        let applied = async {
            api.patch(name, &parameters, &Patch::Apply(object)).await?;
            // Only this way may a status be written.
            if object.get("status").is_some() {
                let status = Patch::Merge(json!({"status": object["status"]}));
                api.patch_status(name, &PatchParams::default(), &status)
                    .await?;
            }
            Ok::<(), kube::Error>(())
        };
        let applied = self.runtime.block_on(applied);
        applied.with_context(|| format!("apply {kind} {name}"))
    }

    /// An object, if it is there.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let api = self.api(kind, Some(namespace))?;
        let found = self.runtime.block_on(api.get_opt(name))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// The objects of a kind in a namespace.
    pub fn objects(&self, kind: &str, namespace: &str) -> Result<Vec<Value>> {
        let api = self.api(kind, Some(namespace))?;
        let found = self.runtime.block_on(api.list(&ListParams::default()))?;
        let all = found.items.into_iter();
        Ok(all.map(serde_json::to_value).collect::<Result<_, _>>()?)
    }

    /// Removes an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let api = self.api(kind, Some(namespace))?;
        self.runtime
            .block_on(api.delete(name, &DeleteParams::default()))?;
        Ok(())
    }

    fn api(&self, kind: &str, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
        let mut all = KNOWN.iter();
        let found = all
            .find(|one| one.kind == kind)
            .with_context(|| format!("{kind} is no kind that tests write"))?;
        let resource = ApiResource {
            group: found.group.to_owned(),
            version: found.version.to_owned(),
            api_version: match found.group {
                "" => found.version.to_owned(),
                group => format!("{group}/{}", found.version),
            },
            kind: found.kind.to_owned(),
            plural: found.plural.to_owned(),
        };
        let client = self.client.clone();
        Ok(match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let name = &self.namespace;
        let deleted = self.api("Namespace", None).and_then(|api| {
            let parameters = DeleteParams::default();
            Ok(self.runtime.block_on(api.delete(name, &parameters))?)
        });
        if let Err(error) = deleted {
            let told = writeln!(
                io::stderr(),
                "namespace {name} is left on the server: {error:#}"
            );
            drop(told);
        }
    }
}

/// Scheme, host and port of the server.
fn parts(config: &Config) -> Result<(String, String, u16)> {
    let url = &config.cluster_url;
    let scheme = url.scheme_str().unwrap_or("https").to_owned();
    let host = url.host().context("the server's host")?.to_owned();
    let port = url
        .port_u16()
        .unwrap_or(if scheme == "http" { 80 } else { 443 });
    Ok((scheme, host, port))
}

/// Has the current context's cluster at another address, under the name that its certificate has, and
/// its namespace.
fn redirect(kubeconfig: &mut Kubeconfig, url: &str, host: &str, namespace: &str) -> Result<()> {
    let current = kubeconfig.current_context.clone();
    let current = current.context("the kubeconfig has no current context")?;
    let mut contexts = kubeconfig.contexts.iter_mut();
    let context = contexts
        .find(|one| one.name == current)
        .and_then(|one| one.context.as_mut())
        .with_context(|| format!("the kubeconfig has no context {current}"))?;
    context.namespace = Some(namespace.to_owned());
    let cluster = context.cluster.clone();
    let mut clusters = kubeconfig.clusters.iter_mut();
    let found = clusters
        .find(|one| one.name == cluster)
        .and_then(|one| one.cluster.as_mut())
        .with_context(|| format!("the kubeconfig has no cluster {cluster}"))?;
    found.server = Some(url.to_owned());
    found
        .tls_server_name
        .get_or_insert_with(|| host.trim_matches(['[', ']']).to_owned());
    Ok(())
}

/// Carries what comes in at a door to the server.
async fn forward(listener: TcpListener, server: String) {
    while let Ok((mut inside, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(&server).await {
                // Whoever hangs up says so to the other.
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            }
        });
    }
}
