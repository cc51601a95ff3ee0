//! An API server as clients meet it: lists in pages, watches from a version on, bookmarks, expired
//! versions, disconnects. It keeps objects, and knows nothing of what they mean.
//!
//! Kubernetes' own rules: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

mod http;
mod object;
mod owned;
mod right;
mod store;
mod write;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use tokio::sync::watch;

use crate::pod::Pod;
pub use right::Right;
use store::{Store, Wanted};

/// A running API server. Dropped, it stops.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

/// What requests and the test share.
struct Shared {
    store: Mutex<Store>,
    /// The version of the store, so that watches wake.
    version: watch::Sender<u64>,
    faults: Mutex<Faults>,
    /// Counts up when open connections are to be cut.
    cut: watch::Sender<u64>,
    stop: watch::Sender<bool>,
}

/// What goes wrong at will.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// What clients may do; everything if none says.
    pub rights: Option<Vec<Right>>,
    /// Resources (by their plural) that are answered with this status.
    pub status: Vec<(String, u16)>,
    /// Everything is answered with this status.
    pub down: Option<u16>,
    /// Each piece of a body is this late.
    pub slow: Option<Duration>,
    /// Lists come in pages of at most so many, whatever is asked for.
    pub page: Option<usize>,
    /// Watches end after so many events.
    pub events_max: Option<usize>,
}

/// The documents of a text of YAML.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for document in text.split("\n---") {
        let value: Option<Value> = serde_saphyr::from_str(document)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("understand {document}"))?;
        all.extend(value);
    }
    Ok(all)
}

/// A port of the loopback address.
pub(super) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ApiServer {
    /// Starts it in the network namespace of `pod`, on its loopback address, with the kinds that
    /// every cluster has.
    pub fn start(pod: &Pod) -> Result<Self> {
        Self::serve(pod.in_network(listen)?)
    }

    /// Starts it where the test itself runs.
    pub fn start_here() -> Result<Self> {
        Self::serve(listen()?)
    }

    fn serve(listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            version: watch::Sender::new(0),
            faults: Mutex::default(),
            cut: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("api-server".to_owned())
            .spawn(move || runtime.block_on(http::serve(listener, serving)))?;
        Ok(Self {
            shared,
            address,
            thread: Some(thread),
        })
    }

    /// Writes a kubeconfig for it.
    pub fn kubeconfig(&self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters: [{{name: lab, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: lab, user: {{}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n",
            self.address
        );
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Adds Istio's kinds, as its CRDs do.
    pub fn install_istio(&self, version: &str) {
        lock(&self.shared.store).install_istio(version);
    }

    /// Adds the kinds of the Gateway API, as its CRDs do.
    pub fn install_gateway_api(&self) {
        lock(&self.shared.store).install_gateway_api();
    }

    /// Creates or replaces the objects of a text of YAML documents.
    pub fn apply(&self, text: &str) -> Result<()> {
        documents(text)?
            .into_iter()
            .try_for_each(|value| self.put(value))
    }

    /// Deletes the objects of a text of YAML documents.
    pub fn withdraw(&self, text: &str) -> Result<()> {
        documents(text)?
            .iter()
            .try_for_each(|value| self.change(|store| store.withdraw(value)))
    }

    /// Creates or replaces an object.
    pub fn put(&self, value: Value) -> Result<()> {
        self.change(|store| store.put(value))
    }

    /// Removes an object.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> Result<()> {
        self.change(|store| store.delete(plural, namespace, name))
    }

    /// An object as it is kept; its namespace is empty if its kind is in none.
    pub fn object(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        lock(&self.shared.store)
            .get(plural, namespace, name)
            .cloned()
    }

    /// The objects of a resource.
    pub fn objects(&self, plural: &str) -> Vec<Value> {
        let store = lock(&self.shared.store);
        let all = store.list(plural, &Wanted::default());
        all.into_iter().cloned().collect()
    }

    /// Writes an object's status, as controllers do.
    pub fn set_status(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        status: Value,
    ) -> Result<()> {
        self.change(|store| {
            let found = store.get(plural, namespace, name).cloned();
            let mut object = found.with_context(|| format!("no {plural} {namespace}/{name}"))?;
            object["status"] = status;
            store.keep(plural, (namespace.to_owned(), name.to_owned()), object);
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Store) -> Result<()>) -> Result<()> {
        let mut store = lock(&self.shared.store);
        change(&mut store)?;
        self.shared.version.send_replace(store.version());
        Ok(())
    }

    /// Forgets what happened before now: watches from an older version on are told that it is gone.
    pub fn compact(&self) {
        lock(&self.shared.store).compact();
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Changes what goes wrong.
    pub fn fail(&self, faults: Faults) {
        *lock(&self.shared.faults) = faults;
    }

    /// What was asked, one line each: method, path and query.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared.store).asked().to_vec()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong, if anything did.
            let _ = thread.join();
        }
    }
}
