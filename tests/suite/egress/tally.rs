//! What the suite has counted.

use std::sync::atomic::{AtomicU64, Ordering};

use steer_tests::figure::{Figure, Goal};

/// A count that all tests share.
pub(crate) struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to it.
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Attempts, each variant of an attack counted.
pub(crate) static TRIED: Count = Count::new();
/// Attempts that got through under the policy.
pub(crate) static ESCAPED: Count = Count::new();
/// Attempts that got through, as the guide says they may.
pub(crate) static REMAINING: Count = Count::new();
/// Attempts that did not get through without the policy, and what is allowed and did not get through
/// under it.
pub(crate) static CONTROLS_FAILED: Count = Count::new();
/// Connections made at once after a name was resolved.
pub(crate) static RACE_TRIES: Count = Count::new();
/// Those of them that were refused.
pub(crate) static RACE_REFUSED: Count = Count::new();

/// The figures.
pub(crate) fn figures() -> Vec<Figure> {
    let none = Goal::AtMost(0.0);
    vec![
        Figure::count("egress.attacks_tried", TRIED.get()),
        Figure::count("egress.attacks_escaped", ESCAPED.get()).goal(none),
        Figure::count("egress.attacks_remaining", REMAINING.get()),
        Figure::count("egress.controls_failed", CONTROLS_FAILED.get()).goal(none),
        Figure::count("egress.race_tries", RACE_TRIES.get()),
        Figure::count("egress.race_refused", RACE_REFUSED.get()).goal(none),
    ]
}
