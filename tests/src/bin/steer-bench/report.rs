//! What a bench says while it measures, and the figures it ends with.

use steer_tests::figure::{Figure, Goal};

/// Figures in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// A figure without a goal.
    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        self.figures.push(Figure::new(name, value));
    }

    /// A figure that should be at most `goal`.
    pub(crate) fn at_most(&mut self, name: &str, value: f64, goal: f64) {
        let figure = Figure::new(name, value);
        self.figures.push(figure.goal(Goal::AtMost(goal)));
    }

    /// A figure that should be at least `goal`.
    pub(crate) fn at_least(&mut self, name: &str, value: f64, goal: f64) {
        let figure = Figure::new(name, value);
        self.figures.push(figure.goal(Goal::AtLeast(goal)));
    }

    /// A figure that cannot be had here.
    pub(crate) fn unavailable(&mut self, name: &str, reason: &str) {
        self.figures.push(Figure::unavailable(name, reason));
    }

    /// All figures.
    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a bench talks to people")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The middle of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// The first of every four values in order, the middle one, and the last of every four.
pub(crate) fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        let last = sorted.len().saturating_sub(1);
        sorted.get(last * quarter / 4).copied().unwrap_or(f64::NAN)
    };
    [at(1), median(values), at(3)]
}

/// The mean of some values as a ratio to that of others that each of them was measured beside, and its standard error.
/// Not the mean of their ratios: noise makes that larger. Neighbours may share what they were measured beside.
pub(crate) fn ratio(values: &[f64], others: &[f64]) -> (f64, f64) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let other = mean(others);
    let ratio = mean(values) / other;
    let pairs = values.iter().zip(others);
    let rests: Vec<f64> = pairs
        .map(|(value, beside)| (value - ratio * beside) / other)
        .collect();
    let count = values.len() as f64;
    let squares = rests.iter().map(|rest| rest.powi(2)).sum::<f64>();
    let shared = rests.windows(2).map(|two| two[0] * two[1]).sum::<f64>();
    let variance = (squares + 2.0 * shared.max(0.0)) / count;
    (ratio, (variance / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_has_no_error_where_all_pairs_agree() {
        let (found, error) = ratio(&[1.0, 3.0], &[2.0, 6.0]);
        assert!((found - 0.5).abs() < 1e-9 && error < 1e-9);
        // Pairs of 0.5 and 1.5, whose mean is 1.
        let (found, error) = ratio(&[1.0, 3.0], &[2.0, 2.0]);
        assert!((found - 1.0).abs() < 1e-9 && (error - 0.5).abs() < 1e-9);
    }
}
