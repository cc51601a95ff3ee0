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
    value: f64,
    goal: Option<Goal>,
}

impl Figure {
    /// A figure without a goal.
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            goal: None,
        }
    }

    /// A count.
    pub fn count(name: impl Into<String>, count: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
        Self::new(name, count as f64)
    }

    /// The same figure, with a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether it is as good as wanted.
    pub fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtMost(most) => self.value <= most,
            Goal::AtLeast(least) => self.value >= least,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "figure {} {}", self.name, self.value)?;
        let (words, goal) = match self.goal {
            Some(Goal::AtMost(goal)) => ("at most", goal),
            Some(Goal::AtLeast(goal)) => ("at least", goal),
            None => return Ok(()),
        };
        let met = if self.met() == Some(true) {
            "met"
        } else {
            "missed"
        };
        write!(f, " (goal: {words} {goal}, {met})")
    }
}

/// Writes figures to `out`, one a line.
pub fn print(mut out: impl std::io::Write, figures: &[Figure]) -> Result<()> {
    for figure in figures {
        writeln!(out, "{figure}")?;
    }
    Ok(())
}

/// Writes figures to a file, as one JSON object: name to value.
pub fn write_json(path: &Path, figures: &[Figure]) -> Result<()> {
    let value = |figure: &Figure| {
        // 3, not 3.0: counts are read back as counts.
        let whole = format!("{}", figure.value).parse::<u64>().map(Number::from);
        whole.map_or_else(|_| json!(figure.value), Value::Number)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_goal_was_met() {
        let figure = Figure::count("churn.failed", 0).goal(Goal::AtMost(0.0));
        assert_eq!(
            figure.to_string(),
            "figure churn.failed 0 (goal: at most 0, met)"
        );
        let figure = Figure::new("ratio", 0.985).goal(Goal::AtLeast(0.99));
        assert_eq!(
            figure.to_string(),
            "figure ratio 0.985 (goal: at least 0.99, missed)"
        );
        assert_eq!(figure.met(), Some(false));
        assert_eq!(
            Figure::count("connects", 100_000).to_string(),
            "figure connects 100000"
        );
    }

    #[test]
    fn counts_stay_whole_in_json() {
        let path = std::env::temp_dir().join(format!("figures-{}.json", std::process::id()));
        write_json(&path, &[Figure::count("a", 7), Figure::new("b", 0.5)]).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, json!({"a": 7, "b": 0.5}));
    }
}
