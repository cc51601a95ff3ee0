//! What a bench found out.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

/// Figures in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    found: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: f64,
    goal: Option<f64>,
    at_least: bool,
}

impl Figures {
    /// A figure without a goal.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.found.push(Figure {
            name,
            value,
            goal: None,
            at_least: false,
        });
    }

    /// A figure that should be at most `goal`.
    pub(crate) fn at_most(&mut self, name: &'static str, value: f64, goal: f64) {
        self.found.push(Figure {
            name,
            value,
            goal: Some(goal),
            at_least: false,
        });
    }

    /// A figure that should be at least `goal`.
    pub(crate) fn at_least(&mut self, name: &'static str, value: f64, goal: f64) {
        self.found.push(Figure {
            name,
            value,
            goal: Some(goal),
            at_least: true,
        });
    }

    /// Prints them: goals first, then the figures.
    pub(crate) fn print(&self) {
        say("");
        for figure in &self.found {
            if let Some(goal) = figure.goal {
                let met = if figure.at_least {
                    figure.value >= goal
                } else {
                    figure.value <= goal
                };
                let side = if figure.at_least {
                    "at least"
                } else {
                    "at most"
                };
                let verdict = if met { "met" } else { "NOT met" };
                say(&format!(
                    "goal {}: {side} {goal}: {verdict} ({})",
                    figure.name,
                    number(figure.value)
                ));
            }
        }
        for figure in &self.found {
            say(&format!("figure {} {}", figure.name, number(figure.value)));
        }
    }

    /// Keeps them as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let values: BTreeMap<&str, f64> = self
            .found
            .iter()
            .map(|found| (found.name, found.value))
            .collect();
        let text = serde_json::to_string_pretty(&values)?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a bench talks to people")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The middle of some values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => values[count / 2],
    }
}
