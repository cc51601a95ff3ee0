//! Figures: what a benchmark, a soak or a suite has measured, one a line, and whether goals were met.

use std::{fmt, fs::File, io::Write as _, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Map, Number, Value, json};

/// Names a file that gets the figures of a suite as JSON.
pub const FILE: &str = "STEER_FIGURES";

/// What is wanted of a figure.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// One figure.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    name: String,
    /// The value, or why this machine cannot tell it.
    value: Result<f64, String>,
    goal: Option<Goal>,
}

impl Figure {
    /// A figure without a goal.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value: Ok(value),
            goal: None,
        }
    }

    /// A count.
    pub fn count(name: impl Into<String>, count: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
        Self::new(name, count as f64)
    }

    /// A figure that cannot be had on this machine.
    pub fn unavailable(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Err(reason.into()),
            goal: None,
        }
    }

    /// The same figure, with a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether it is as good as wanted.
    pub fn met(&self) -> Option<bool> {
        let goal = self.goal?;
        let value = *self.value.as_ref().ok()?;
        Some(match goal {
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        })
    }

    /// The line about its goal, if it has one.
    fn verdict(&self) -> Option<String> {
        let (words, goal) = match self.goal? {
            Goal::AtMost(goal) => ("at most", goal),
            Goal::AtLeast(goal) => ("at least", goal),
        };
        let verdict = match self.met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        Some(format!("goal {} {words} {goal}: {verdict}", self.name))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Ok(value) => write!(f, "figure {} {}", self.name, rounded(*value)),
            Err(reason) => write!(f, "figure {} unavailable: {reason}", self.name),
        }
    }
}

/// To three places: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Writes to `out` which goals were met, then the figures, one a line.
pub fn print(mut out: impl std::io::Write, figures: &[Figure]) -> Result<()> {
    for verdict in figures.iter().filter_map(Figure::verdict) {
        writeln!(out, "{verdict}")?;
    }
    for figure in figures {
        writeln!(out, "{figure}")?;
    }
    Ok(())
}

/// Writes figures to a file, as one JSON object: name to value, or to why there is none.
pub fn write_json(path: &Path, figures: &[Figure]) -> Result<()> {
    let value = |figure: &Figure| match &figure.value {
        Ok(value) => number(rounded(*value)),
        Err(reason) => json!(format!("unavailable: {reason}")),
    };
    let object: Map<String, Value> = figures
        .iter()
        .map(|figure| (figure.name.clone(), value(figure)))
        .collect();
    let mut file = File::create(path).with_context(|| format!("write {}", path.display()))?;
    serde_json::to_writer_pretty(&mut file, &object)?;
    file.write_all(b"\n")?;
    Ok(())
}

/// 3, not 3.0: counts are read back as counts.
fn number(value: f64) -> Value {
    let whole = format!("{value}").parse::<u64>().map(Number::from);
    whole.map_or_else(|_| json!(value), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(figures: &[Figure]) -> String {
        let mut out = Vec::new();
        print(&mut out, figures).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn figures_come_last_and_goals_before_them() {
        let figures = [
            Figure::count("churn.failed", 0).goal(Goal::AtMost(0.0)),
            Figure::new("ratio", 0.985_123).goal(Goal::AtLeast(0.99)),
            Figure::count("connects", 100_000),
            Figure::unavailable("other", "no nf_tables").goal(Goal::AtMost(1.0)),
        ];
        assert_eq!(
            printed(&figures),
            "goal churn.failed at most 0: met\n\
             goal ratio at least 0.99: missed\n\
             goal other at most 1: not measured\n\
             figure churn.failed 0\n\
             figure ratio 0.985\n\
             figure connects 100000\n\
             figure other unavailable: no nf_tables\n"
        );
    }

    #[test]
    fn counts_stay_whole_in_json() {
        let path = std::env::temp_dir().join(format!("figures-{}.json", std::process::id()));
        let figures = [
            Figure::count("a", 7),
            Figure::new("b", 0.5),
            Figure::unavailable("c", "why"),
        ];
        write_json(&path, &figures).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, json!({"a": 7, "b": 0.5, "c": "unavailable: why"}));
    }
}
