//! All attempts in one line: how often each outcome came, and how long connecting took.

use std::collections::BTreeMap;

use serde::Serialize;
use steer_tests::client::Attempt;

/// Attempts being counted.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    outcomes: BTreeMap<String, u64>,
    connect_ns: Vec<u64>,
    first_ns: Option<u64>,
    last_ns: u64,
}

/// The line.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    attempts: u64,
    outcomes: BTreeMap<String, u64>,
    seconds: f64,
    connect_us: Percentiles,
}

/// Of the attempts that succeeded.
#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    /// Counts one attempt.
    pub(crate) fn count(&mut self, attempt: &Attempt) {
        match self.outcomes.get_mut(attempt.outcome()) {
            Some(count) => *count += 1,
            None => drop(self.outcomes.insert(attempt.outcome().to_owned(), 1)),
        }
        if attempt.error.is_none() {
            self.connect_ns.push(attempt.connect_ns);
        }
        self.first_ns.get_or_insert(attempt.start_ns);
        self.last_ns = attempt.start_ns + attempt.total_ns;
    }

    /// Joins what another thread counted.
    pub(crate) fn add(&mut self, other: Self) {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.connect_ns.extend(other.connect_ns);
        self.first_ns = self.first_ns.into_iter().chain(other.first_ns).min();
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// The line to print.
    pub(crate) fn report(mut self) -> Report {
        self.connect_ns.sort_unstable();
        let spent = self
            .last_ns
            .saturating_sub(self.first_ns.unwrap_or(self.last_ns));
        Report {
            attempts: self.outcomes.values().sum(),
            seconds: in_float(spent) / 1e9,
            connect_us: Percentiles {
                p50: self.percentile(50),
                p90: self.percentile(90),
                p99: self.percentile(99),
                max: self.percentile(100),
            },
            outcomes: self.outcomes,
        }
    }

    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.connect_ns.len() * percent)
            .div_ceil(100)
            .saturating_sub(1);
        self.connect_ns
            .get(rank)
            .map_or(0.0, |ns| in_float(*ns) / 1e3)
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
fn in_float(ns: u64) -> f64 {
    ns as f64
}
