//! How many were at most so large.

/// Upper bounds of a histogram; what is larger counts in the sum and the count alone.
pub(super) type Bounds = &'static [f64];

/// Milliseconds: some of those that Istio has, so that a series is not longer than it must be.
pub(super) const MILLISECONDS: Bounds = &[
    1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];

/// Bytes.
pub(super) const BYTES: Bounds = &[1.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

/// Seconds that an apply takes.
pub(super) const SECONDS: Bounds = &[0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// The most bounds that one has.
const BOUNDS_MAX: usize = 12;

/// Counts, by upper bound.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Histogram {
    bounds: Bounds,
    counts: [u64; BOUNDS_MAX],
    /// How many there were.
    pub count: u64,
    /// What they add up to.
    pub sum: f64,
}

impl Histogram {
    /// An empty one.
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counts: [0; BOUNDS_MAX],
            count: 0,
            sum: 0.0,
        }
    }

    /// Counts one.
    pub fn add(&mut self, value: f64) {
        self.add_many(value, 1);
    }

    /// Counts so many alike.
    pub fn add_many(&mut self, value: f64, times: u64) {
        let index = self.bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.counts.get_mut(index) {
            *count += times;
        }
        self.count += times;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let times = times as f64;
        self.sum += value * times;
    }

    /// Upper bounds, and how many are above the one before. What is above the last is in the count.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        self.bounds.iter().copied().zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_included() {
        let mut histogram = Histogram::new(BYTES);
        for value in [0.0, 1.0, 1.5, 100.0, 1e9] {
            histogram.add(value);
        }
        let counts: Vec<u64> = histogram
            .buckets()
            .iter()
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(counts, [2, 2, 0, 0, 0, 0]);
        assert_eq!(histogram.count, 5);
    }

    #[test]
    fn every_list_of_bounds_fits() {
        for bounds in [MILLISECONDS, BYTES, SECONDS] {
            assert!(bounds.len() <= BOUNDS_MAX && bounds.is_sorted());
        }
    }
}
