//! The edge of `install` that talks to an API server: server-side apply, deletion, and how far a
//! DaemonSet is.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::Status,
};
use serde_json::Value;
use tokio::time::sleep;

use super::{Identity, Place};
use crate::source::kubernetes::{Access, ClusterError, config};

/// Who owns the fields that steer writes.
const MANAGER: &str = "steer";
const ANSWER_MAX: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no way to the server.
    #[error(transparent)]
    Access(#[from] ClusterError),
    /// The server says no.
    #[error("{object}: {message}{}", hint(object, *code))]
    Refused {
        /// To what.
        object: Identity,
        /// The status of HTTP.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The server does not answer, or not as one.
    #[error("asking the API server {url} about {object}")]
    Unanswered {
        /// About what.
        object: Identity,
        /// The server's address.
        url: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

/// What to do about a refusal.
fn hint(object: &Identity, code: u16) -> String {
    match (code, &object.namespace) {
        (403, _) => " (who installs steer needs these rights)".to_owned(),
        (404, Some(namespace)) => {
            format!(" (create the namespace {namespace} first, or name another)")
        }
        (409, _) => " (--force-conflicts takes the fields over)".to_owned(),
        _ => String::new(),
    }
}

/// What applying an object did, or would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// It was not there.
    Created,
    /// It was otherwise.
    Changed,
    /// It was so already.
    Unchanged,
}

/// How far a DaemonSet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Nodes whose pod is ready.
    pub ready: u64,
    /// Nodes that should have one; none as long as nobody has counted them.
    pub wanted: Option<u64>,
}

impl Progress {
    /// Every node has its pod.
    pub fn is_done(self) -> bool {
        self.wanted == Some(self.ready)
    }
}

/// An API server.
pub struct Server {
    client: Client,
    url: String,
    dry_run: bool,
}

impl Server {
    /// Prepares to ask; with `dry_run` the server checks and changes nothing.
    pub async fn new(access: &Access, dry_run: bool) -> Result<Self, ServerError> {
        let mut config = config(access).await?;
        // Whoever typed the command is told at once.
        config.default_retry = false;
        config.read_timeout = Some(ANSWER_MAX);
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(ClusterError::from)?;
        Ok(Self {
            client,
            url,
            dry_run,
        })
    }

    /// Makes an object what it should be, and leaves alone what others wrote into it.
    pub async fn apply(&self, object: &Value, force: bool) -> Result<Applied, ServerError> {
        let Some(identity) = Identity::of(object) else {
            return Ok(Applied::Unchanged);
        };
        let before = self.get(&identity).await?;
        let parameters = PatchParams {
            dry_run: self.dry_run,
            force,
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Apply(object);
        let api = self.api(&identity);
        let after = api.patch(&identity.name, &parameters, &patch).await;
        let after = after.map_err(|error| self.error(&identity, error))?;
        let after = content(after);
        Ok(match before.map(content) {
            None => Applied::Created,
            Some(before) if before == after => Applied::Unchanged,
            Some(_) => Applied::Changed,
        })
    }

    /// Removes an object, and what belongs to it first. False if it is not there.
    pub async fn delete(&self, identity: &Identity) -> Result<bool, ServerError> {
        let parameters = DeleteParams {
            dry_run: self.dry_run,
            ..DeleteParams::foreground()
        };
        match self.api(identity).delete(&identity.name, &parameters).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(self.error(identity, error)),
        }
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, identity: &Identity) -> Result<(), ServerError> {
        while self.get(identity).await?.is_some() {
            sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// Waits until a DaemonSet has its pod on every node; each step is told.
    pub async fn ready(
        &self,
        identity: &Identity,
        mut tell: impl FnMut(Progress),
    ) -> Result<(), ServerError> {
        let mut last = None;
        loop {
            let progress = self.get(identity).await?.map(|found| progress(&found));
            if let Some(progress) = progress.filter(|progress| last != Some(*progress)) {
                tell(progress);
                last = Some(progress);
            }
            if last.is_some_and(Progress::is_done) {
                return Ok(());
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// The image of a DaemonSet's first container, if there is such a DaemonSet.
    pub async fn image(&self, identity: &Identity) -> Result<Option<String>, ServerError> {
        let found = self.get(identity).await?;
        let image = found.as_ref().and_then(|found| {
            found
                .data
                .pointer("/spec/template/spec/containers/0/image")?
                .as_str()
        });
        Ok(image.map(str::to_owned))
    }

    async fn get(&self, identity: &Identity) -> Result<Option<DynamicObject>, ServerError> {
        let found = self.api(identity).get_opt(&identity.name).await;
        found.map_err(|error| self.error(identity, error))
    }

    fn api(&self, identity: &Identity) -> Api<DynamicObject> {
        let resource = resource(identity.place);
        let client = self.client.clone();
        match &identity.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    fn error(&self, object: &Identity, error: kube::Error) -> ServerError {
        let object = object.clone();
        match error {
            kube::Error::Api(status) => refused(object, *status),
            error => ServerError::Unanswered {
                object,
                url: self.url.clone(),
                source: Box::new(error),
            },
        }
    }
}

fn refused(object: Identity, status: Status) -> ServerError {
    ServerError::Refused {
        object,
        code: status.code,
        message: if status.message.is_empty() {
            status.reason
        } else {
            status.message
        },
    }
}

fn resource(place: Place) -> ApiResource {
    let version = "v1".to_owned();
    let api_version = if place.group.is_empty() {
        version.clone()
    } else {
        format!("{}/{version}", place.group)
    };
    ApiResource {
        group: place.group.to_owned(),
        version,
        api_version,
        kind: place.kind.to_owned(),
        plural: place.plural.to_owned(),
    }
}

/// What somebody wrote into an object, without the server's own book-keeping.
fn content(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
    object
}

/// The controller has counted for what is wanted now, or not yet.
fn progress(object: &DynamicObject) -> Progress {
    let count = |field: &str| object.data["status"][field].as_u64().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let observed = i64::try_from(count("observedGeneration")).unwrap_or_default();
    Progress {
        ready: count("numberReady").min(count("updatedNumberScheduled")),
        wanted: (observed >= generation).then(|| count("desiredNumberScheduled")),
    }
}
