//! A rule with weights: how far the answers of requests that follow each other are from the shares that it
//! promises them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What a window holds: a multiple of the rule's period, so that its shares are whole requests.
const WINDOW: usize = 100;
/// How many requests of a window are the second version's.
const SECOND: u64 = 10;

/// A service with the weights, 90 and 10, of each request.
pub(crate) const CONFIGURATION: &str = "\
apiVersion: v1
kind: Service
metadata: {name: weighted, namespace: bench}
spec: {clusterIP: 10.200.0.90, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: weighted, namespace: bench}
spec: {host: weighted, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: weighted, namespace: bench, annotations: {steer.dev/split: request}}
spec:
  hosts: [weighted]
  http:
    - route:
        - {destination: {host: weighted, subset: v1}, weight: 90}
        - {destination: {host: weighted, subset: v2}, weight: 10}
";
/// Where it is dialled.
pub(crate) const ADDRESS: ([u8; 4], u16) = ([10, 200, 0, 90], 80);

/// Answers, in the order of their requests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shares {
    answered: u64,
    second: u64,
    /// The largest distance of a whole window from its share, in requests.
    farthest: u64,
    #[serde(skip)]
    window: VecDeque<bool>,
    #[serde(skip)]
    in_window: u64,
}

impl Shares {
    /// The next answer.
    pub(crate) fn add(&mut self, is_second: bool) {
        self.answered += 1;
        self.second += u64::from(is_second);
        self.in_window += u64::from(is_second);
        self.window.push_back(is_second);
        if self.window.len() > WINDOW {
            self.in_window -= u64::from(self.window.pop_front() == Some(true));
        }
        if self.window.len() == WINDOW {
            self.farthest = self.farthest.max(self.in_window.abs_diff(SECOND));
        }
    }

    /// Those of another client, who asked at the same time: what follows what, nobody knows.
    pub(crate) fn join(&mut self, other: &Self) {
        self.answered += other.answered;
        self.second += other.second;
    }

    /// How far the farthest window was from its share; none if there was no whole one.
    pub(crate) fn of_windows(&self) -> Option<u64> {
        (self.answered >= WINDOW as u64).then_some(self.farthest)
    }

    /// How far all of them are from their share, if that is whole requests.
    pub(crate) fn of_all(&self) -> Option<u64> {
        let whole = self.answered > 0 && (self.answered * SECOND).is_multiple_of(WINDOW as u64);
        whole.then(|| self.second.abs_diff(self.answered * SECOND / WINDOW as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(answers: impl Iterator<Item = bool>) -> Shares {
        let mut shares = Shares::default();
        answers.for_each(|answer| shares.add(answer));
        shares
    }

    #[test]
    fn any_window_is_looked_at() {
        let exact = shares((0..1_000).map(|at| at % 10 == 3));
        assert_eq!((exact.of_windows(), exact.of_all()), (Some(0), Some(0)));
        // In hundreds from the first on it is exact as well, but not in between.
        let bent =
            shares((0..1_000).map(|at| {
                at / 100 % 2 == 0 && at % 100 >= 90 || at / 100 % 2 == 1 && at % 100 < 10
            }));
        assert_eq!((bent.of_windows(), bent.of_all()), (Some(10), Some(0)));
        let none = shares([false; 100].into_iter());
        assert_eq!((none.of_windows(), none.of_all()), (Some(10), Some(10)));
    }

    #[test]
    fn without_answers_nothing_is_exact() {
        let few = shares([false; 99].into_iter());
        assert_eq!((few.of_windows(), few.of_all()), (None, None));
        assert_eq!(Shares::default().of_all(), None);
    }
}
