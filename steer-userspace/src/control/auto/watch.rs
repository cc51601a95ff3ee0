//! `split: auto` of one route: whether its weights are kept by splitting connections, judged by the
//! requests that are seen.

use std::time::{Duration, Instant};

/// What is judged, and how often.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Of how many requests at least shares are taken.
    pub requests: u64,
    /// How far apart judgements are at least.
    pub every: Duration,
    /// How far a share may stray from its weight, in percentage points.
    pub points: f64,
    /// How long requests are split at least.
    pub hold: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: 200,
            every: Duration::from_secs(10),
            points: 2.0,
            hold: Duration::from_mins(1),
        }
    }
}

/// Of how many connections one may be used again where none is said to be kept. Fewer say nothing: clients
/// that rest for a while come back as they were.
const KEPT_OF: u64 = 20;

/// What is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// Connections: the kernel alone decides.
    Connection,
    /// Requests: new connections go through the agent.
    Request,
}

/// What an address splits by: requests that were counted under other weights say nothing about these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Weighed {
    /// What is drawn, by destination: one without an endpoint has no weight.
    pub(super) weights: Vec<u32>,
    /// The generation since which requests are counted.
    pub(super) since: u32,
}

/// What was seen so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Seen {
    /// What each of the route's addresses splits by, since when.
    pub(super) splits: Vec<Weighed>,
    /// Requests that clients sent directly: for each of the route's addresses, by destination.
    pub(super) direct: Vec<Vec<u64>>,
    /// Connections that the agent took.
    pub(super) connections: u64,
    /// Requests on these.
    pub(super) requests: u64,
}

impl Seen {
    /// What came since then; none if the counts began anew meanwhile.
    fn since(&self, then: &Self) -> Option<Self> {
        if self.splits != then.splits {
            return None;
        }
        Some(Self {
            splits: self.splits.clone(),
            direct: differences(&self.direct, &then.direct, |now, then| {
                differences(now, then, |now, then| now.checked_sub(*then))
            })?,
            connections: self.connections.checked_sub(then.connections)?,
            requests: self.requests.checked_sub(then.requests)?,
        })
    }

    /// Whether clients keep connections for more than a request: more than one in twenty is used again.
    fn keeps_connections(&self) -> bool {
        self.requests.saturating_sub(self.connections) > self.connections / KEPT_OF
    }
}

/// The difference of each; none if they do not go together.
fn differences<T>(now: &[T], then: &[T], one: impl Fn(&T, &T) -> Option<T>) -> Option<Vec<T>> {
    let pairs = now.iter().zip(then).map(|(now, then)| one(now, then));
    pairs
        .collect::<Option<_>>()
        .filter(|_| now.len() == then.len())
}

/// Shares of requests, and how far they were from the weights.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Measured {
    /// Of how many requests.
    pub(super) requests: u64,
    /// The largest distance of a destination's share from its weight, in percentage points.
    pub(super) points: f64,
}

/// One route.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// What is split.
    pub(super) by: By,
    /// The last judgement of connections.
    pub(super) measured: Option<Measured>,
    /// What had been seen when this window began, and when that was.
    then: Seen,
    at: Instant,
}

impl Watch {
    pub(super) fn new(seen: Seen, now: Instant) -> Self {
        Self {
            by: By::Connection,
            measured: None,
            then: seen,
            at: now,
        }
    }

    /// Takes what was seen until now; true if something else is split from now on.
    pub(super) fn look(&mut self, bounds: &Bounds, seen: Seen, now: Instant) -> bool {
        let Some(fresh) = seen.since(&self.then) else {
            self.begin(seen, now);
            return false;
        };
        let window = now.saturating_duration_since(self.at);
        let total = fresh.direct.iter().flatten().sum();
        let judged = (total >= bounds.requests)
            .then(|| stray(&fresh.splits, &fresh.direct))
            .flatten()
            .map(|points| Measured {
                requests: total,
                points,
            });
        let strays = judged.is_some_and(|found| found.points > bounds.points);
        let changes = match self.by {
            By::Connection if judged.is_none() || window < bounds.every => return false,
            By::Connection => {
                self.measured = judged;
                strays
            }
            By::Request if window < bounds.hold || fresh.connections < KEPT_OF => return false,
            By::Request => !strays && !fresh.keeps_connections(),
        };
        self.begin(seen, now);
        if changes {
            self.by = match self.by {
                By::Connection => By::Request,
                By::Request => By::Connection,
            };
        }
        changes
    }

    fn begin(&mut self, seen: Seen, now: Instant) {
        self.then = seen;
        self.at = now;
    }
}

/// The largest distance of a destination's share from its weight, in percentage points; none if nothing
/// has a weight or a share.
fn stray(splits: &[Weighed], requests: &[Vec<u64>]) -> Option<f64> {
    let mut distances: Vec<f64> = Vec::new();
    let mut all = 0;
    for (Weighed { weights, .. }, requests) in splits.iter().zip(requests) {
        let sum: u64 = weights.iter().copied().map(u64::from).sum();
        let total: u64 = requests.iter().sum();
        if sum == 0 {
            continue;
        }
        all += total;
        distances.resize(distances.len().max(weights.len()), 0.0);
        for (distance, (&weight, &count)) in distances.iter_mut().zip(weights.iter().zip(requests))
        {
            let exact = precise(total) * f64::from(weight) / precise(sum);
            *distance += precise(count) - exact;
        }
    }
    let farthest = distances
        .iter()
        .map(|distance| distance.abs())
        .fold(0.0, f64::max);
    (all > 0).then(|| farthest * 100.0 / precise(all))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weighed(weights: &[u32]) -> Weighed {
        Weighed {
            weights: weights.to_vec(),
            since: 1,
        }
    }

    fn seen(direct: [u64; 2], connections: u64, requests: u64) -> Seen {
        Seen {
            splits: vec![weighed(&[90, 10])],
            direct: vec![direct.to_vec()],
            connections,
            requests,
        }
    }

    struct Stage {
        watch: Watch,
        start: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                watch: Watch::new(seen([0, 0], 0, 0), start),
                start,
            }
        }

        fn look(&mut self, secs: u64, seen: Seen) -> bool {
            let now = self.start + Duration::from_secs(secs);
            self.watch.look(&Bounds::default(), seen, now)
        }
    }

    #[test]
    fn shares_that_are_kept_change_nothing() {
        let mut stage = Stage::new();
        for window in 1..100 {
            assert!(!stage.look(10 * window, seen([900 * window, 100 * window], 0, 0)));
        }
        assert_eq!(stage.watch.by, By::Connection);
        let kept = Measured {
            requests: 1_000,
            points: 0.0,
        };
        assert_eq!(stage.watch.measured, Some(kept));
    }

    #[test]
    fn what_strays_is_split_by_request() {
        let mut stage = Stage::new();
        // Not enough requests, and then not enough time.
        assert!(!stage.look(20, seen([199, 0], 0, 0)));
        let mut early = Stage::new();
        assert!(!early.look(9, seen([5_000, 0], 0, 0)));
        assert!(stage.look(21, seen([200, 0], 0, 0)));
        assert_eq!(stage.watch.by, By::Request);
        let found = stage.watch.measured.unwrap();
        assert_eq!(found.requests, 200);
        assert!((found.points - 10.0).abs() < 1e-9);
    }

    /// Two points are not more than two points.
    #[test]
    fn the_bound_is_not_strayed_from() {
        let mut stage = Stage::new();
        assert!(!stage.look(10, seen([176, 24], 0, 0)));
        assert!(stage.look(20, seen([176 + 175, 24 + 25], 0, 0)));
    }

    #[test]
    fn it_goes_back_once_connections_are_not_kept() {
        let mut stage = Stage::new();
        assert!(stage.look(10, seen([200, 0], 0, 0)));
        // A minute is waited for.
        assert!(!stage.look(69, seen([200, 0], 100, 100)));
        // They are used again.
        assert!(!stage.look(70, seen([200, 0], 100, 1_000)));
        // One in a hundred is.
        assert!(stage.look(130, seen([200, 0], 200, 1_101)));
        assert_eq!(stage.watch.by, By::Connection);
    }

    #[test]
    fn it_stays_while_clients_rest() {
        let mut stage = Stage::new();
        assert!(stage.look(10, seen([200, 0], 0, 0)));
        // Nobody comes for long, and then one client with a pool, twice.
        assert!(!stage.look(700, seen([200, 0], 0, 0)));
        assert!(!stage.look(800, seen([200, 0], 10, 5_000)));
        assert!(!stage.look(900, seen([200, 0], 20, 10_000)));
        assert_eq!(stage.watch.by, By::Request);
        assert!(stage.look(960, seen([200, 0], 40, 10_020)));
    }

    #[test]
    fn it_stays_while_old_connections_stray() {
        let mut stage = Stage::new();
        assert!(stage.look(10, seen([200, 0], 0, 0)));
        assert!(!stage.look(70, seen([600, 0], 100, 100)));
        assert!(stage.look(130, seen([600, 0], 200, 200)));
    }

    #[test]
    fn counts_that_begin_anew_are_not_judged() {
        let mut stage = Stage::new();
        assert!(!stage.look(10, seen([900, 100], 0, 0)));
        assert!(!stage.look(20, seen([300, 0], 0, 0)));
        assert!(!stage.look(25, seen([510, 0], 0, 0)));
        assert!(stage.look(30, seen([510, 0], 0, 0)));
    }

    /// A new count may have overtaken the old one by the time it is looked at.
    #[test]
    fn counts_of_other_weights_are_not_compared() {
        let mut stage = Stage::new();
        stage.watch.begin(seen([20, 180], 0, 0), stage.start);
        let anew = |direct| Seen {
            splits: vec![Weighed {
                since: 2,
                ..weighed(&[90, 10])
            }],
            ..seen(direct, 0, 0)
        };
        assert!(!stage.look(20, anew([1_800, 200])));
        assert!(!stage.look(30, anew([2_700, 300])));
        assert!(stage.look(40, anew([3_700, 300])));
    }

    /// The kernel goes on counting where a destination loses its endpoints or has them again.
    #[test]
    fn what_was_drawn_by_other_weights_is_not_judged_by_these() {
        let mut stage = Stage::new();
        let without = |direct| Seen {
            splits: vec![weighed(&[90, 0])],
            ..seen(direct, 0, 0)
        };
        assert!(!stage.look(10, seen([900, 100], 0, 0)));
        assert!(!stage.look(20, without([1_800, 200])));
        assert!(!stage.look(30, without([2_800, 200])));
        assert!(!stage.look(40, seen([3_800, 200], 0, 0)));
        assert!(!stage.look(50, seen([4_700, 300], 0, 0)));
        assert_eq!(stage.watch.by, By::Connection);
    }

    #[test]
    fn without_weights_nothing_is_judged() {
        assert_eq!(stray(&[weighed(&[0, 0])], &[vec![100, 100]]), None);
        assert_eq!(stray(&[weighed(&[1, 1])], &[vec![0, 0]]), None);
        let three = [weighed(&[1, 1, 2])];
        assert_eq!(stray(&three, &[vec![50, 50, 100]]), Some(0.0));
    }

    /// What one address is short of, another makes up for; each has the weights that it can have.
    #[test]
    fn addresses_are_judged_together() {
        let unlike = [weighed(&[90, 10]), weighed(&[90, 0])];
        assert_eq!(stray(&unlike, &[vec![180, 20], vec![100, 0]]), Some(0.0));
        let both = [weighed(&[90, 10]), weighed(&[90, 10])];
        assert_eq!(stray(&both, &[vec![100, 0], vec![80, 20]]), Some(0.0));
        assert_eq!(stray(&both, &[vec![100, 0], vec![100, 0]]), Some(10.0));
    }

    proptest! {
        /// An exact split never strays, whatever the weights: of any 200 requests or more, each on a
        /// connection of its own, no share is two points away if a period is short.
        #[test]
        fn exact_splits_never_stray(
            weights in prop::collection::vec(1_u32..100, 2..6),
            periods in 1_u64..50,
        ) {
            let requests: Vec<u64> = weights.iter().map(|&weight| u64::from(weight) * periods).collect();
            let points = stray(&[weighed(&weights)], &[requests]).unwrap();
            prop_assert!(points < 1e-9, "{points}");
        }
    }
}
