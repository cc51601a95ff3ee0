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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
