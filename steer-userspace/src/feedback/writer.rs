//! Writes what is told to the API server: at its own pace, and never because of what it wrote.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Note, Report, Verdict, conditions,
    events::{self, Events},
    lease::{LOOK_EVERY, Leadership},
};
use crate::{
    finding::{ObjectRef, chain},
    source::kubernetes::rule_resources,
};

/// The pause after each write: at most twenty a second, whatever there is to say.
const PAUSE: Duration = Duration::from_millis(50);
/// A burst of reports is one.
const QUIET: Duration = Duration::from_millis(200);
/// How often conditions are looked at that should be there: others may replace a status as a whole.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// Tells the cluster.
#[derive(Debug)]
pub struct Feedback {
    report: watch::Sender<Report>,
}

impl Feedback {
    /// Starts to tell, as the agent of `node`. Its Lease is where the client is at home.
    pub fn start(client: Client, node: &str) -> Self {
        let (report, wanted) = watch::channel(Report::default());
        tokio::spawn(run(Writer::new(client, node), wanted));
        Self { report }
    }

    /// Tells that. Of what is not in force, what was said of the rules before still holds.
    pub fn tell(&self, report: Report, in_force: bool) {
        self.report.send_if_modified(|said| {
            let mut next = report;
            if !in_force {
                next.verdicts.clone_from(&said.verdicts);
            }
            let is_news = *said != next;
            *said = next;
            is_news
        });
    }
}

async fn run(mut writer: Writer, mut wanted: watch::Receiver<Report>) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            news = wanted.changed() => match news {
                Ok(()) => sleep(QUIET).await,
                Err(_gone) => return,
            },
            _ = look.tick() => writer.lead().await,
        }
        let report = wanted.borrow_and_update().clone();
        writer.tell(&report).await;
    }
}

struct Writer {
    client: Client,
    leadership: Leadership,
    leads: bool,
    /// When the Lease was looked at last: it must be renewed while there is much to write too.
    renewed: Instant,
    events: Events,
    /// What is known to stand in the status of rules.
    written: BTreeMap<ObjectRef, Verdict>,
    looked: Instant,
    /// What went wrong last: it is told once.
    trouble: Option<String>,
}

impl Writer {
    fn new(client: Client, node: &str) -> Self {
        let namespace = client.default_namespace().to_owned();
        Self {
            leadership: Leadership::new(client.clone(), &namespace, node.to_owned()),
            events: Events::new(client.clone(), node),
            client,
            leads: false,
            renewed: Instant::now(),
            written: BTreeMap::new(),
            looked: Instant::now(),
            trouble: None,
        }
    }

    async fn lead(&mut self) {
        let led = self.leads;
        self.renewed = Instant::now();
        self.leads = match self.leadership.look().await {
            Ok(leads) => leads,
            Err(error) => {
                self.troubled("leases.coordination.k8s.io", &error);
                false
            }
        };
        if self.leads && !led {
            tracing::info!("this agent tells the cluster how far rules are enforced");
        }
        // Another one may have written meanwhile.
        if self.leads != led || self.looked.elapsed() > LOOK_AGAIN {
            self.written.clear();
            self.looked = Instant::now();
        }
    }

    /// Tells what was not told yet. What the server refuses for good is not told again until it says
    /// something else; everything else that fails is tried at the next look.
    async fn tell(&mut self, report: &Report) {
        for note in self.events.fresh(&report.notes) {
            if !self.leads && !note.is_of_the_node() {
                continue;
            }
            if let Err(error) = self.event(&note).await {
                self.troubled("events.events.k8s.io", &error);
                if !is_final(&error) {
                    return;
                }
            }
            self.events.done(note);
            sleep(PAUSE).await;
        }
        self.written
            .retain(|object, _| report.verdicts.contains_key(object));
        for (object, verdict) in &report.verdicts {
            if !self.leads {
                return;
            }
            if self.written.get(object) == Some(verdict) {
                continue;
            }
            if self.renewed.elapsed() > LOOK_EVERY {
                self.lead().await;
            }
            let done = match self.judge(object, verdict).await {
                Ok(done) => done,
                Err(error) => {
                    self.troubled("the status of rules", &error);
                    if !is_final(&error) {
                        return;
                    }
                    true
                }
            };
            if done {
                self.written.insert(object.clone(), verdict.clone());
            }
            sleep(PAUSE).await;
        }
    }

    async fn event(&self, note: &Note) -> Result<(), kube::Error> {
        let regarding = match note.object.clone() {
            Some(object) if !note.is_of_the_node() => {
                let found = self.find(&object).await?;
                found.map(
                    |(api_version, _, rule)| k8s_openapi::api::core::v1::ObjectReference {
                        api_version: Some(api_version),
                        uid: rule.metadata.uid,
                        ..events::reference(&object)
                    },
                )
            }
            object => self.events.near(object.as_ref()).await?,
        };
        match regarding {
            Some(regarding) => self.events.tell(note, &regarding).await,
            // It was deleted meanwhile, or is of a kind that this server does not have.
            None => Ok(()),
        }
    }

    /// Writes how far a rule is enforced; false if somebody else wrote meanwhile.
    async fn judge(&self, object: &ObjectRef, verdict: &Verdict) -> Result<bool, kube::Error> {
        let Some((_, api, found)) = self.find(object).await? else {
            return Ok(true);
        };
        let value = serde_json::to_value(&found).unwrap_or(Value::Null);
        if conditions::said(&value).is_some_and(|said| said.says(verdict)) {
            return Ok(true);
        }
        let now = jiff::Timestamp::now().round(jiff::Unit::Second);
        let now = now.map(|now| now.to_string()).unwrap_or_default();
        let patch = Patch::Merge(conditions::patch(&value, verdict, &now));
        let params = PatchParams::default();
        match api.patch_status(&object.name, &params, &patch).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            // Deleted, or without a status in its definition.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A rule as the API server has it, in the newest version that it serves.
    async fn find(
        &self,
        object: &ObjectRef,
    ) -> Result<Option<(String, Api<DynamicObject>, DynamicObject)>, kube::Error> {
        for resource in rule_resources(&object.kind) {
            let client = self.client.clone();
            let api: Api<DynamicObject> =
                Api::namespaced_with(client, &object.namespace, &resource);
            if let Some(found) = api.get_opt(&object.name).await? {
                return Ok(Some((resource.api_version, api, found)));
            }
        }
        Ok(None)
    }

    fn troubled(&mut self, what: &str, error: &kube::Error) {
        let trouble = format!("{what}: {}", chain(error));
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(trouble, "the cluster cannot be told");
            self.trouble = Some(trouble);
        }
    }
}

/// Whether it is about this one write: the next may do better.
fn is_final(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    matches!(status.code, 400..500) && !matches!(status.code, 401 | 403 | 408 | 429)
}
