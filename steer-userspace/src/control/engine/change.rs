//! A change as a whole: of one plan, or of several rounds with a grace period between them. If
//! anything of it fails, all of it is undone, the last round first.

use std::collections::BTreeSet;

use steer_common::service::ServiceKey;

use super::{Engine, EngineError, read_names};
use crate::{
    image::Image,
    kernel::{KernelError, Undo},
    plan::{Layout, Names, Plan, PlanError},
};

/// How far a change has come.
#[derive(Default)]
pub(super) struct Change {
    /// How many writes it took.
    pub(super) steps: usize,
    /// Services whose routes changed, appeared or went.
    pub(super) services_changed: usize,
    /// Which these are.
    pub(super) moved: BTreeSet<ServiceKey>,
    /// Pods that came, went, or belong elsewhere.
    pub(super) pods_changed: usize,
    /// Writes that changed what may be reached.
    pub(super) egress_writes: usize,
    /// The way back from each round.
    rounds: Vec<Undo>,
    /// What the numbers in the rows meant before the first of several rounds: later ones give
    /// numbers anew that earlier ones freed.
    names: Option<Names>,
}

impl Engine {
    /// Leads to `image`.
    pub(super) fn go(&mut self, image: &Image, change: &mut Change) -> Result<(), EngineError> {
        let last = loop {
            let plan = match self.plan(image)? {
                Err(PlanError::Full { .. }) => {
                    change.names.get_or_insert_with(|| self.layout.names());
                    self.layout.plan_part(image)?
                }
                other => break other?,
            };
            self.write(&plan, change)?;
            self.settle()?;
        };
        self.write(&last, change)?;
        self.guard()
    }

    /// Plans the way to `image`, with all rows that can be had.
    fn plan(&mut self, image: &Image) -> Result<Result<Plan, PlanError>, EngineError> {
        let plan = self.layout.plan(image);
        if !matches!(plan, Err(PlanError::Busy { .. })) {
            return Ok(plan);
        }
        self.settle()?;
        Ok(self.layout.plan(image))
    }

    fn write(&mut self, plan: &Plan, change: &mut Change) -> Result<(), EngineError> {
        change.steps += plan.steps.len();
        change.services_changed += plan.services_changed();
        change.moved.extend(plan.moved());
        change.pods_changed += plan.pods_changed();
        change.egress_writes += plan.egress_writes();
        let mut undo = if change.rounds.is_empty() {
            Undo::default()
        } else {
            Undo::of_later()
        };
        let done = self
            .names
            .append(&plan.names)
            .map_err(EngineError::Names)
            .and_then(|()| Ok(self.put_in_force(plan, &mut undo)?));
        change.rounds.push(undo);
        done
    }

    fn put_in_force(&mut self, plan: &Plan, undo: &mut Undo) -> Result<(), KernelError> {
        let (before, from) = plan.steps.split_at(plan.judged.from);
        if self.layout.judges() {
            self.kernel.judge_packets(true)?;
        }
        self.kernel.maps_mut().apply(before, undo)?;
        self.seed(&plan.judged.clients);
        self.kernel.maps_mut().apply(from, undo)?;
        if !self.layout.judges() {
            self.kernel.judge_packets(false)?;
        }
        Ok(())
    }

    /// Undoes what was done of a change, and says why.
    pub(super) fn back(&mut self, change: Change, cause: EngineError) -> EngineError {
        if change.rounds.is_empty() {
            return cause;
        }
        let mut rounds = change.rounds.into_iter().rev();
        let back = rounds.try_for_each(|undo| self.kernel.maps_mut().undo(undo, &self.grace));
        let names = self.names_after(change.names.filter(|_| back.is_ok()));
        if let Err(source) = back.and(self.resume(&names)) {
            return EngineError::Torn {
                cause: Box::new(cause),
                source,
            };
        }
        if let Err(error) = self.guard() {
            tracing::warn!(%error, "interfaces of pods may lack the guard");
        }
        cause
    }

    /// What the numbers in the rows mean after the way back: what they meant `before`, if all of it
    /// was gone. The file still has the names that a plan had given up.
    fn names_after(&self, before: Option<Names>) -> Names {
        let now = self.layout.names();
        let Some(mut names) = before.or_else(|| read_names(&self.settings.state).ok()) else {
            return now;
        };
        // Numbers of these are never given twice, not even to what was not finished.
        names.policies.extend(now.policies);
        names.hosts.extend(now.hosts);
        names
    }

    /// Goes on after a change that stopped half-way: the maps, not the plan, say what is in force.
    fn resume(&mut self, names: &Names) -> Result<(), KernelError> {
        let live = self.kernel.maps().read()?;
        self.layout = Layout::adopt(self.settings.kernel.capacity, &live, names);
        if let Err(error) = self.names.compact(&self.layout.names()) {
            tracing::warn!(%error, "listings show names of what is not in force");
        }
        self.kernel.judge_packets(self.layout.judges())?;
        self.grace.wait()
    }
}
