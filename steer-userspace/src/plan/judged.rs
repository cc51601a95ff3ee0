//! Whom a plan begins to judge: their connections of before are let be.

use std::collections::BTreeMap;

use steer_common::egress::policy::POLICY_REVOKING;

use super::{EgressStep, Step};

/// Clients that a plan begins to judge, though they were there before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Judged {
    /// Their network namespaces, by cookie.
    pub clients: Vec<u64>,
    /// The step from which on they are judged.
    pub from: usize,
}

/// Whether each client is judged, by the cookie of its network namespace; none if the guard is off.
pub(super) type Judging = Option<BTreeMap<u64, bool>>;

impl Judged {
    /// Those who are judged `after` the steps and were not `before`. Where the guard was on, a
    /// client that nobody knew before is a pod that started since, and was judged by the default
    /// policy: what it connected to meanwhile must not become allowed by that.
    pub(super) fn compare(before: &Judging, after: &Judging, steps: &[Step]) -> Self {
        let is_new = |cookie: &u64| match before {
            None => true,
            Some(before) => before.get(cookie) == Some(&false),
        };
        let judged = after.iter().flatten().filter(|(_, judged)| **judged);
        let clients: Vec<u64> = judged.map(|(&cookie, _)| cookie).filter(is_new).collect();
        let begins = |step: &Step| match step {
            Step::Egress(EgressStep::Settings(settings)) => settings.on && before.is_none(),
            Step::Egress(EgressStep::Policy(_, row)) => {
                before.is_some() && row.standing != POLICY_REVOKING
            }
            Step::Egress(EgressStep::Port(_)) => before.is_some(),
            Step::SetSource { cookie, .. } => before.is_some() && clients.contains(cookie),
            _ => false,
        };
        let from = steps.iter().position(begins).unwrap_or(steps.len());
        Self { clients, from }
    }
}
