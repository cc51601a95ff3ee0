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
            if self.may_be_there(resources).await {
                return;
            }
        }
    }

    async fn may_be_there(&self, resources: &[ApiResource]) -> bool {
        let mut known = self.known.lock().await;
        // Whoever waits looks as often: one of them asks for all.
        let is_old = |asked: &Instant| asked.elapsed() >= LOOK_EVERY / 2;
        if known.as_ref().is_none_or(|(asked, _)| is_old(asked)) {
            let Ok(groups) = self.client.list_api_groups().await else {
                // Then each watch finds out for itself.
                return true;
            };
            let versions = groups.groups.into_iter().flat_map(|group| group.versions);
            let versions = versions.map(|version| version.group_version);
            *known = Some((Instant::now(), versions.collect()));
        }
        let Some((_, versions)) = known.as_ref() else {
            return true;
        };
        resources
            .iter()
            .any(|resource| versions.contains(&resource.api_version))
    }
}
