//! What was looked at, and what was not as it should be: a page is looked at to its end.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use steer_tests::figure::{Figure, Goal};

static CHECKS: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// The figures.
pub(crate) fn figures() -> Vec<Figure> {
    vec![
        Figure::count("dashboard.checks", CHECKS.load(Ordering::Relaxed)),
        Figure::count("dashboard.failed", FAILED.load(Ordering::Relaxed)).goal(Goal::AtMost(0.0)),
    ]
}

/// A test did not get to its end, or its checks failed.
pub(crate) fn broken() {
    FAILED.fetch_max(1, Ordering::Relaxed);
}

/// Those of one test.
#[derive(Default)]
pub(crate) struct Checks {
    failed: Vec<String>,
}

impl Checks {
    /// It should hold; `seen` is what was seen instead.
    pub(crate) fn check(&mut self, what: &str, holds: bool, seen: &str) {
        CHECKS.fetch_add(1, Ordering::Relaxed);
        if !holds {
            FAILED.fetch_add(1, Ordering::Relaxed);
            self.failed.push(format!("{what}: {seen}"));
        }
    }

    /// The end.
    pub(crate) fn conclude(self) -> Result<()> {
        ensure!(self.failed.is_empty(), "{}", self.failed.join("\n"));
        Ok(())
    }
}
