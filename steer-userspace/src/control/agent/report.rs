//! What the agent says of itself: its status, its refusals, why something is not in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use steer_common::egress::LearnedKey;

use super::{
    super::{
        Applied, EngineError, company, edge,
        events::What,
        features, refusals,
        status::{AccessLog, State, Status},
    },
    Agent, AgentError, Outcome,
};
use crate::desired::model::Sides;
use crate::feedback::report;
use crate::finding::{Finding, Severity, chain};

impl Agent {
    /// What the egress guard reported.
    pub(super) fn take_events(&mut self) -> Result<(), AgentError> {
        while let Some(event) = self.events.next_event() {
            let key = LearnedKey {
                policy: event.policy,
                addr: event.peer.addr,
            };
            let pod = self.found.namespaces.get(&event.client).cloned();
            let policy = self.engine.layout().policy_name(event.policy);
            let seen = self.engine.kernel().maps().egress.name_seen(&key);
            let (refusal, process) = refusals::refusal(&event, pod, policy, seen);
            if let Some(metrics) = self.metrics.as_ref().filter(|_| refusal.is_of_tcp()) {
                metrics.refused(&refusal);
            }
            if let Some(events) = &self.told_events {
                events.refused(&refusal, process.as_ref());
            }
            self.refusals.take(refusal, process);
        }
        let written = self.refusals.write(&self.settings.engine.state);
        written.map_err(|source| AgentError::Io {
            action: "writing the refusals",
            source,
        })
    }

    /// Notes why what is written is not in force, and says so once.
    pub(super) fn refuse(&mut self, findings: Vec<Finding>) {
        if findings == self.refused {
            return;
        }
        for finding in &findings {
            let place = finding
                .position
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(
                code = finding.code,
                place,
                field = finding.field,
                "{}",
                finding.message
            );
        }
        tracing::error!(
            generation = self.engine.generation(),
            "the configuration is refused; the last good one stays in force"
        );
        self.tell_event(What::ConfigurationRefused {
            generation: self.engine.generation(),
            reasons: findings.iter().map(|found| found.message.clone()).collect(),
        });
        self.refused = findings;
        self.untold = true;
    }

    /// Writes the status, if it differs from what was written last.
    pub(super) fn tell(&mut self) -> Result<(), AgentError> {
        let failed = |source| AgentError::Io {
            action: "writing the status",
            source,
        };
        let status = self.status();
        self.count_status(&status);
        if let Some(feedback) = self.feedback.as_ref().filter(|_| self.untold) {
            let report = report(&self.snapshot, &status.findings);
            feedback.tell(report, self.outcome == Outcome::InForce);
        }
        self.untold = false;
        if self
            .told
            .as_ref()
            .is_some_and(|told| told.says_the_same(&status))
        {
            return Ok(());
        }
        status.write(&self.settings.engine.state).map_err(failed)?;
        self.told = Some(status);
        Ok(())
    }

    /// The cgroups of pods.
    pub(super) fn pods(&self) -> BTreeMap<String, PathBuf> {
        let watched = &self.settings.engine.kernel.cgroup;
        let found = self.found.workloads.iter();
        found
            .filter_map(|(pod, found)| {
                Some((pod.to_string(), watched.join(found.cgroup.as_ref()?)))
            })
            .collect()
    }

    fn access_log(&self) -> AccessLog {
        let logs = &self.desired.access_logs;
        let pods = logs.pods.iter();
        let pods = pods.map(|(pod, sides)| (pod.to_string(), *sides));
        let as_client = Sides {
            client: true,
            server: false,
        };
        let gateways = logs.gateways.values();
        let gateways = gateways.map(|gateway| (gateway.to_string(), as_client));
        AccessLog {
            file: logs.file.clone(),
            pods: pods.chain(gateways).collect(),
            lines: self.requests.logged(),
        }
    }

    fn status(&self) -> Status {
        let mut findings = self.snapshot.findings.clone();
        findings.extend(self.desired.findings.iter().cloned());
        findings.extend(self.found.findings.iter().cloned());
        let cgroup = self.settings.engine.kernel.cgroup.display().to_string();
        findings.extend(self.strays.findings(&cgroup));
        findings.extend(company::sidecars(
            &self.snapshot,
            self.found.workloads.keys(),
        ));
        findings.extend(company::programs(&self.beside));
        findings.extend(edge::closed(&self.closed, &self.desired.listeners));
        findings.extend(self.refused.iter().cloned());
        findings.extend(features::findings(self.engine.kernel().features()));
        findings.sort();
        findings.dedup();
        Status {
            pid: std::process::id(),
            version: env!("STEER_VERSION"),
            config: self.feed.names(),
            cgroup,
            written: jiff::Timestamp::now().to_string(),
            generation: self.engine.generation(),
            rolled_back: self.rules.rolled_back(),
            repaired: self.truth.repairs().to_vec(),
            state: if self.refused.is_empty() {
                State::Applied
            } else {
                State::Refused
            },
            pods: self.pods(),
            classes: self.desired.class_names.clone(),
            mirrored: self.requests.mirrored(),
            access_log: self.access_log(),
            findings,
            metrics: self.settings.metrics.as_ref().map(|found| found.address),
        }
    }
}

/// The kernel's side cannot hold what is written.
pub(super) fn not_applied(error: &EngineError) -> Finding {
    Finding {
        severity: Severity::Error,
        code: match error {
            EngineError::Plan(_) => "STR0701",
            EngineError::Kernel(_) => "STR0702",
            EngineError::Names(_) => "STR0703",
            EngineError::Torn { .. } => "STR0704",
        },
        object: None,
        position: None,
        field: String::new(),
        message: chain(error),
        help: match error {
            EngineError::Torn { .. } => "the agent tries again every few seconds",
            _ => "the last good configuration stays in force",
        }
        .to_owned(),
    }
}

/// How many services a line names.
const NAMED_MAX: usize = 5;

/// The one line of an apply.
pub(super) fn log_applied(applied: &Applied, findings: &[Finding], took: Duration) {
    tracing::info!(
        generation = applied.generation,
        services_changed = applied.services_changed,
        services = named(&applied.services),
        pods_changed = applied.pods_changed,
        egress_writes = applied.egress_writes,
        writes = applied.steps,
        findings = findings.len(),
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "applied"
    );
}

/// The first of them, and how many more there are.
fn named(services: &BTreeSet<String>) -> String {
    let first: Vec<&str> = services
        .iter()
        .take(NAMED_MAX)
        .map(String::as_str)
        .collect();
    match services.len().saturating_sub(NAMED_MAX) {
        0 => first.join(" "),
        more => format!("{} and {more} more", first.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_short() {
        let services = |count: u32| (1..=count).map(|number| format!("s{number}:80")).collect();
        assert_eq!(named(&services(2)), "s1:80 s2:80");
        assert_eq!(
            named(&services(7)),
            "s1:80 s2:80 s3:80 s4:80 s5:80 and 2 more"
        );
    }
}
