//! Where the configuration comes from: files, or a cluster's API server.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::Watch;
use crate::{
    feedback::Feedback,
    finding::Finding,
    source::{
        Snapshot,
        cluster::{Change, Cluster, Watched},
        files::Reader,
        kubernetes::{ClusterError, ClusterSettings, Kubernetes},
        rules::Document,
    },
};

/// Where it is.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Files and directories.
    Files(Vec<PathBuf>),
    /// A cluster.
    Cluster(ClusterSettings),
}

/// A burst of changes is one change, unless it goes on for long.
const QUIET: Duration = Duration::from_millis(1);
const BURST_MAX: Duration = Duration::from_millis(20);
/// How often it is said what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was read: nothing new, a configuration, or why it cannot be used.
pub(super) type Read = Result<Option<Snapshot>, Vec<Finding>>;

/// Reads it, and tells when it changed.
pub(super) enum Feed {
    /// Of files.
    Files(Box<Files>),
    /// Of a cluster.
    Cluster(Box<Watching>),
}

/// Files, and who tells of them.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    reader: Reader,
    watch: Watch,
}

/// A cluster, and who tells of it.
pub(super) struct Watching {
    kubernetes: Kubernetes,
    cluster: Cluster,
    /// When the first change was noted that was not yet told of.
    noted: Option<Instant>,
    /// When the log last said what is waited for.
    said: Instant,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Files cannot be watched.
    #[error("watching the configuration")]
    Files(#[from] notify::Error),
    /// The API server cannot be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Feed {
    /// Opens it. Nothing is read yet.
    pub(super) async fn open(origin: &Origin) -> Result<Self, FeedError> {
        Ok(match origin {
            Origin::Files(paths) => Self::Files(Box::new(Files {
                watch: Watch::new(paths)?,
                reader: Reader::new(paths.clone()),
                paths: paths.clone(),
            })),
            Origin::Cluster(settings) => {
                let kubernetes = Kubernetes::start(settings).await?;
                let cluster = Cluster::new(kubernetes.watched());
                tracing::info!(server = kubernetes.url(), "asking the API server");
                Self::Cluster(Box::new(Watching {
                    kubernetes,
                    cluster,
                    noted: None,
                    said: Instant::now(),
                }))
            }
        })
    }

    /// Who tells a cluster how far its rules are enforced, if it wants to know.
    pub(super) fn feedback(&self, origin: &Origin) -> Option<Feedback> {
        let (Self::Cluster(watching), Origin::Cluster(settings)) = (self, origin) else {
            return None;
        };
        let node = settings.node.as_deref().unwrap_or("unknown");
        settings
            .feedback
            .then(|| Feedback::start(watching.kubernetes.client(), node))
    }

    /// How people know it.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Files(files) => {
                let paths = files.paths.iter();
                paths.map(|path| path.display().to_string()).collect()
            }
            Self::Cluster(watching) => vec![watching.kubernetes.url().to_owned()],
        }
    }

    /// The first configuration. Files that are as young as the agent are read as they are; of a
    /// cluster, everything is waited for. Safe to cancel.
    pub(super) async fn first(&mut self) -> Read {
        match self {
            Self::Files(files) => files.reader.read(),
            Self::Cluster(watching) => Ok(Some(watching.first().await)),
        }
    }

    /// Returns when it may have changed. Safe to cancel.
    pub(super) async fn changed(&mut self) {
        match self {
            Self::Files(files) => files.watch.changed().await,
            Self::Cluster(watching) => watching.changed().await,
        }
    }

    /// The rules of the last configuration, as they are written.
    pub(super) fn rules(&self) -> Vec<Document> {
        match self {
            Self::Files(files) => files.reader.rules(),
            Self::Cluster(watching) => watching.cluster.rules().cloned().collect(),
        }
    }

    /// Reads what is there now.
    pub(super) fn read(&mut self) -> Read {
        match self {
            Self::Files(files) => files.read(),
            Self::Cluster(watching) => Ok(watching.cluster.snapshot()),
        }
    }
}

impl Files {
    fn read(&mut self) -> Read {
        let progress = self.watch.progress();
        let read = self
            .reader
            .read_without(&|found| progress.is_unfinished(found));
        if progress.passed_over() {
            self.watch.again();
        }
        read
    }
}

impl Watching {
    async fn first(&mut self) -> Snapshot {
        loop {
            if let Some(snapshot) = self.cluster.snapshot() {
                return snapshot;
            }
            if let Ok((watched, change)) =
                timeout_at(self.said + PATIENCE, self.kubernetes.next()).await
            {
                self.take(watched, change);
            }
            if self.said.elapsed() >= PATIENCE {
                self.said = Instant::now();
                let kinds: Vec<&str> = self.cluster.unlisted().map(|one| one.kind).collect();
                tracing::warn!(
                    kinds = kinds.join(" "),
                    "waiting for the API server to list these; what is in force stays in force"
                );
            }
        }
    }

    async fn changed(&mut self) {
        loop {
            let next = match self.noted {
                None => self.kubernetes.next().await,
                Some(noted) => {
                    let due = (noted + BURST_MAX).min(Instant::now() + QUIET);
                    match timeout_at(due, self.kubernetes.next()).await {
                        Ok(next) => next,
                        Err(_quiet) => {
                            self.noted = None;
                            return;
                        }
                    }
                }
            };
            self.take(next.0, next.1);
            self.noted = self.noted.or_else(|| Some(Instant::now()));
        }
    }

    fn take(&mut self, watched: Watched, change: Change) {
        if let Change::Trouble(finding) = &change
            && self.cluster.troubles().all(|known| known != finding)
        {
            tracing::warn!(code = finding.code, "{}", finding.message);
        }
        self.cluster.take(watched, change);
    }
}
