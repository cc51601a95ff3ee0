//! The edge of `source` that talks to an API server: one list and watch for each kind, told as
//! changes of `cluster`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::mpsc::{Receiver, channel};

use super::cluster::{Change, Watched};

mod follow;
mod served;
mod watches;

use served::Served;
pub(crate) use watches::rule_resources;

/// Changes that wait to be taken: what is more waits at the API server.
const WAITING_MAX: usize = 1_024;
/// How long a server may take to answer the door.
const CONNECT_MAX: Duration = Duration::from_secs(3);

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
    /// The namespace whose Secrets are read; none reads none.
    pub secrets: Option<String>,
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
        let config = config(&settings.access).await?;
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config)?;
        let (sender, changes) = channel(WAITING_MAX);
        let watches = watches::watches(settings);
        let served = Arc::new(Served::new(client.clone()));
        let watched = watches.iter().map(|watch| watch.watched).collect();
        for watch in watches {
            let (served, changes) = (Arc::clone(&served), sender.clone());
            tokio::spawn(follow::follow(client.clone(), watch, served, changes));
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

/// What a client of the API server needs to know.
pub(crate) async fn config(access: &Access) -> Result<Config, ClusterError> {
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match (&access.kubeconfig, &access.context) {
        (Some(path), _) => {
            let read = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(read, &options).await?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    };
    config.connect_timeout = Some(CONNECT_MAX);
    Ok(config)
}
