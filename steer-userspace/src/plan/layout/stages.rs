//! Steps by the stage they belong to.

use std::collections::BTreeSet;

use steer_common::service::{CLASS_ANYONE, RowId, ServiceKey};

use crate::plan::step::Step;

/// Rows of a class come into force before the row of class 0 that sends readers to them, and go
/// after it; a namespace joins its class when the rows of that class are there.
#[derive(Default)]
pub(super) struct Stages {
    /// The egress guard is switched off before its rows go.
    pub(super) off: Vec<Step>,
    pub(super) mend: Vec<Step>,
    /// Rows of classes that nobody is led to, as an agent leaves them that dies half-way: they go
    /// before a row of class 0 leads there again.
    pub(super) unread: BTreeSet<(ServiceKey, RowId)>,
    pub(super) fill: Vec<Step>,
    /// Policies that pods come to, and those pods.
    pub(super) moves: Vec<Step>,
    /// What may be reached from now on: before anybody is led there.
    pub(super) allow: Vec<Step>,
    pub(super) publish: Vec<(ServiceKey, RowId, Option<RowId>)>,
    pub(super) sources: Vec<Step>,
    pub(super) unpublish: BTreeSet<(ServiceKey, RowId)>,
    pub(super) clear: Vec<Step>,
    /// What may be reached no longer: after nobody is led there.
    pub(super) refuse: Vec<Step>,
}

impl Stages {
    pub(super) fn in_order(self) -> Vec<Step> {
        let publish = |&(key, row, replaces): &_| Step::Publish { key, row, replaces };
        let (anyone, classes): (Vec<_>, Vec<_>) = self
            .publish
            .iter()
            .partition(|(key, ..)| key.class == CLASS_ANYONE);
        let mut steps = self.off;
        steps.extend(self.mend);
        let unpublish = |(key, row)| Step::Unpublish { key, row };
        steps.extend(self.unread.into_iter().map(unpublish));
        steps.extend(self.fill);
        steps.extend(self.moves);
        steps.extend(self.allow);
        steps.extend(classes.iter().map(publish));
        steps.extend(self.sources);
        steps.extend(anyone.iter().map(publish));
        steps.extend(self.unpublish.into_iter().map(unpublish));
        steps.extend(self.clear);
        steps.extend(self.refuse);
        steps
    }
}
