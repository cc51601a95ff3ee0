//! One of the agents speaks for all: who holds a Lease, as controllers elect their leader
//! (coordination.k8s.io/v1).

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

const NAME: &str = "steer-feedback";
/// How long a holder may be silent.
const GOOD_FOR: Duration = Duration::from_secs(15);
/// How often it is looked at, and renewed by its holder.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The Lease as one agent sees it.
pub(super) struct Leadership {
    api: Api<Lease>,
    identity: String,
    /// The version of it that was seen last, and since when by this clock: that of another node may
    /// be wrong.
    seen: Option<(String, Instant)>,
}

impl Leadership {
    pub(super) fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity,
            seen: None,
        }
    }

    /// Takes it, renews it, or finds that another agent has it. True if this one speaks.
    pub(super) async fn look(&mut self) -> Result<bool, kube::Error> {
        let asked = match self.api.get_opt(NAME).await? {
            None => {
                let fresh = self.lease(None);
                self.api.create(&PostParams::default(), &fresh).await
            }
            Some(found) if self.may_take(&found) => {
                let next = self.lease(Some(&found));
                self.api.replace(NAME, &PostParams::default(), &next).await
            }
            Some(_) => return Ok(false),
        };
        match asked {
            Ok(_) => Ok(true),
            // Another one was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ours, given back, or silent for too long.
    fn may_take(&mut self, found: &Lease) -> bool {
        let holder = found
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        if holder.is_none_or(|holder| holder.is_empty() || holder == self.identity) {
            return true;
        }
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > GOOD_FOR,
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn lease(&self, before: Option<&Lease>) -> Lease {
        let spec = before
            .and_then(|lease| lease.spec.clone())
            .unwrap_or_default();
        let is_ours = spec.holder_identity.as_ref() == Some(&self.identity);
        let now = MicroTime(jiff::Timestamp::now());
        let transitions = spec.lease_transitions.unwrap_or_default();
        Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                resource_version: before.and_then(|lease| lease.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(GOOD_FOR.as_secs()).ok(),
                acquire_time: spec
                    .acquire_time
                    .filter(|_| is_ours)
                    .or_else(|| Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(transitions + i32::from(before.is_some() && !is_ours)),
                ..LeaseSpec::default()
            }),
        }
    }
}
