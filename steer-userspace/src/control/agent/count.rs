//! What the agent tells those who count.

use std::time::Duration;

use steer_common::reason::Reason;

use super::{super::events::What, Agent, Outcome, Status};
use crate::{access_log, proxy::Mirrored, telemetry::Standing};

impl Agent {
    /// Something else is in force, or could not be put there.
    pub(super) fn count_apply(&mut self, took: Duration) {
        let done = self.outcome == Outcome::InForce;
        let Some(metrics) = &mut self.metrics else {
            return;
        };
        metrics.applied(took, done);
        if done {
            let layout = self.engine.layout();
            metrics.follow(&self.snapshot, &self.desired, layout, &self.found);
        }
    }

    /// How the agent stands.
    pub(super) fn count_status(&self, status: &Status) {
        let Some(metrics) = &self.metrics else { return };
        let applied = self.outcome == Outcome::InForce && self.refused.is_empty();
        let pods = self.found.workloads.len() as u64;
        metrics.stand(|standing| {
            standing.find(&status.findings);
            standing.generation = status.generation;
            standing.applied = applied;
            standing.pods = pods;
        });
    }

    /// How weights are kept where that may change.
    pub(super) fn count_splits(&self) {
        let Some(metrics) = &self.metrics else { return };
        let kept = self.auto.kept();
        metrics.stand(|standing| standing.kept = kept);
    }

    /// Tells whoever listens.
    pub(super) fn tell_event(&self, what: What) {
        if let Some(events) = &self.told_events {
            events.tell(what);
        }
    }

    /// What became of copies and lines, and what DNS answers taught.
    pub(super) fn count_outcomes(&mut self) {
        if let Some(events) = &mut self.told_events {
            events.mirrored(self.requests.mirrored());
            if let Ok(taught) = self.engine.kernel().maps().given(Reason::AnswerLearned) {
                events.learned(taught);
            }
        }
        let Some(metrics) = &self.metrics else { return };
        let (mirrored, lines) = (self.requests.mirrored(), self.requests.logged());
        metrics.stand(|standing| outcomes(standing, mirrored, lines));
    }
}

fn outcomes(standing: &mut Standing, mirrored: Mirrored, lines: access_log::Counted) {
    standing.mirrored = vec![
        ("answered", mirrored.answered),
        ("failed", mirrored.failed),
        ("slow", mirrored.slow),
        ("busy", mirrored.busy),
        ("too_long", mirrored.too_long),
        ("cut", mirrored.cut),
        ("other_protocol", mirrored.other_protocol),
    ];
    standing.lines = vec![("written", lines.written), ("lost", lines.lost)];
}
