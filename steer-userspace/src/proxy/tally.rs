//! Answers to copies, by who was copied to.
//!
//! A thread that yields to live traffic must hold nothing that live traffic waits for, and the meter is such a thing:
//! that thread keeps its counts, and somebody else adds them up.

use std::{
    collections::BTreeMap,
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::telemetry::{Meter, Protocol};

/// An answer to a copy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Answer {
    /// The cookie of the namespace of the pod whose request was copied.
    pub(super) client: u64,
    pub(super) to: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) code: u16,
}

/// How many there were of each.
pub(super) type Answers = BTreeMap<Answer, u64>;

/// Where they are counted, if anywhere.
#[derive(Default)]
pub(super) struct Tally {
    meter: Arc<OnceLock<Meter>>,
    /// Those that are not counted yet, where that is somebody else's to do.
    kept: Option<Mutex<Answers>>,
}

impl Tally {
    /// One that counts at the same place, later.
    pub(super) fn later(&self) -> Self {
        Self {
            meter: Arc::clone(&self.meter),
            kept: Some(Mutex::default()),
        }
    }

    /// Counts by this from now on.
    pub(super) fn count_by(&self, meter: Meter) {
        // It is said once.
        let _again = self.meter.set(meter);
    }

    /// There was one.
    pub(super) fn add(&self, answer: Answer) {
        match (self.meter.get(), &self.kept) {
            (None, _) => {}
            (Some(meter), None) => count(meter, answer, 1),
            (Some(_), Some(kept)) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                *kept.entry(answer).or_default() += 1;
            }
        }
    }

    /// Hands over those that are not counted yet.
    pub(super) fn take(&self) -> Answers {
        let kept = self.kept.as_ref().map(|kept| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            mem::take(&mut *kept)
        });
        kept.unwrap_or_default()
    }

    /// Counts those that another one kept.
    pub(super) fn count(&self, answers: Answers) {
        if let Some(meter) = self.meter.get() {
            for (answer, times) in answers {
                count(meter, answer, times);
            }
        }
    }
}

fn count(meter: &Meter, answer: Answer, times: u64) {
    let Answer {
        client,
        to,
        protocol,
        code,
    } = answer;
    meter.copied(client, to, protocol, code, times);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_handed_over_once() {
        let answer = Answer {
            client: 1,
            to: SocketAddr::from(([10, 0, 0, 1], 80)),
            protocol: Protocol::Http,
            code: 200,
        };
        let tally = Tally::default();
        let later = tally.later();
        // Nobody counts yet.
        later.add(answer);
        assert!(later.take().is_empty());
        tally.count_by(Meter::default());
        later.add(answer);
        later.add(answer);
        assert_eq!(later.take(), Answers::from([(answer, 2)]));
        assert!(later.take().is_empty());
        // What counts at once keeps nothing.
        tally.add(answer);
        assert!(tally.take().is_empty());
    }
}
