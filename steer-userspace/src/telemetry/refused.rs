//! What was refused: by whom it was asked for, and why.

use std::{collections::BTreeMap, sync::Arc};

use super::workload::Workload;

/// So many different ones are kept apart.
const MAX: usize = 512;

/// Something that somebody may not reach.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Target {
    /// Its name; its address, if nobody knows one. Empty is whatever did not fit.
    pub name: String,
    /// The port; 0 for protocols without.
    pub port: u16,
    /// Why.
    pub reason: String,
}

/// How often each was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(BTreeMap<(Arc<Workload>, Target), u64>);

impl Refusals {
    pub(super) fn count(&mut self, source: &Arc<Workload>, target: Target) {
        let mut key = (Arc::clone(source), target);
        if self.0.len() >= MAX && !self.0.contains_key(&key) {
            key = (
                Arc::new(Workload::unknown()),
                Target {
                    name: String::new(),
                    port: 0,
                    reason: String::new(),
                },
            );
        }
        *self.0.entry(key).or_default() += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Workload, &Target, u64)> {
        let all = self.0.iter();
        all.map(|((source, target), count)| (&**source, target, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_counts_together() {
        let mut all = Refusals::default();
        let pod = Arc::new(Workload::unknown());
        for n in 0..2 * MAX {
            let target = Target {
                name: format!("host{n}.example"),
                port: 443,
                reason: "not_in_registry".to_owned(),
            };
            all.count(&pod, target);
        }
        let rest = all.iter().find(|(_, target, _)| target.name.is_empty());
        assert_eq!(rest.unwrap().2, MAX as u64);
        assert_eq!(all.iter().count(), MAX + 1);
    }
}
