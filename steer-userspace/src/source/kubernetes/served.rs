//! Which versions of which groups a server has: what it lacks is not asked for again and again by every
//! watch of every node.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use kube::{Client, api::ApiResource};
use tokio::{sync::Mutex, time::sleep};

/// How often it is looked for a definition that is missing.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long an answer holds. Those who ask, ask at about the same time: one of them asks for all.
const HOLDS: Duration = Duration::from_millis(250);

/// What the watches of an agent know of it together.
pub(super) struct Served {
    client: Client,
    /// `GROUP/VERSION`, and when the server said so.
    known: Mutex<Option<(Instant, BTreeSet<String>)>>,
}

impl Served {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// Returns when one of these may be there, some time from now.
    pub(super) async fn wait_for(&self, resources: &[ApiResource]) {
        loop {
            sleep(LOOK_EVERY).await;
            if !self.offered(resources).await.is_empty() {
                return;
            }
        }
    }

    /// Those whose group has that version, so that they may be there; all of them if the server does not
    /// say.
    pub(super) async fn offered<'a>(&self, resources: &'a [ApiResource]) -> Vec<&'a ApiResource> {
        let mut known = self.known.lock().await;
        let is_old = |asked: &Instant| asked.elapsed() >= HOLDS;
        if known.as_ref().is_none_or(|(asked, _)| is_old(asked)) {
            let Ok(groups) = self.client.list_api_groups().await else {
                // Then each watch finds out for itself.
                return resources.iter().collect();
            };
            let versions = groups.groups.into_iter().flat_map(|group| group.versions);
            let versions = versions.map(|version| version.group_version);
            *known = Some((Instant::now(), versions.collect()));
        }
        let is_there = |resource: &&ApiResource| {
            let versions = known.as_ref().map(|(_, versions)| versions);
            versions.is_none_or(|versions| versions.contains(&resource.api_version))
        };
        resources.iter().filter(is_there).collect()
    }
}
