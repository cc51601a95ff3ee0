//! The last while of a graph: what was counted in it, of samples that are taken now and then.

use std::{collections::VecDeque, time::Duration};

use super::Graph;

/// Samples, the latest last. Times are those of any clock that does not go back.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    samples: VecDeque<(Duration, Graph)>,
}

/// How many samples are kept: shares of a minute do not need one for each second.
const SAMPLES: u32 = 30;

impl Window {
    /// One that is so long.
    pub const fn new(length: Duration) -> Self {
        Self {
            length,
            samples: VecDeque::new(),
        }
    }

    /// A sample. It takes the place of the last, if that follows the one before it closely.
    pub fn push(&mut self, at: Duration, graph: Graph) {
        // Nobody looked for a while: what was before is not of this window.
        let is_old = |(last, _): &(Duration, Graph)| at.saturating_sub(*last) > self.length;
        if self.samples.back().is_some_and(is_old) {
            self.samples.clear();
        }
        let step = self.length / SAMPLES;
        let mut latest = self.samples.iter().rev().map(|(then, _)| *then);
        if let (Some(last), Some(before)) = (latest.next(), latest.next())
            && last.saturating_sub(before) < step
        {
            self.samples.pop_back();
        }
        self.samples.push_back((at, graph));
        // The one at the window's beginning, or before it, stays: it is what is counted from.
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| at.saturating_sub(*second) >= self.length)
        {
            self.samples.pop_front();
        }
    }

    /// What was counted, and in which time; none until there are two samples.
    pub fn grown(&self) -> Option<(Duration, Graph)> {
        let (first, before) = self.samples.front()?;
        let (last, now) = self.samples.back()?;
        let took = last.checked_sub(*first).filter(|took| !took.is_zero())?;
        Some((took, now.since(before)))
    }
}

#[cfg(test)]
mod tests;
