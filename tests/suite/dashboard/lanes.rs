//! The lanes of the page: a service each, by its title.

use anyhow::Result;

use crate::stage::{Stage, step};

pub(crate) const ENTER: &str = "\u{E007}";
pub(crate) const ESCAPE: &str = "\u{E00C}";
pub(crate) const CATALOG: &str = "http://catalog/items";

/// The lane of a service, by its title.
const LANE: &str = r"
const lane = (title) => [...document.querySelectorAll('.lane')].find(
  (one) => one.querySelector('h3 .label').textContent === title);
const shares = (title) => [...(lane(title)?.querySelectorAll('.version') ?? [])].map(
  (one) => `${one.querySelector('.label').textContent} ${one.querySelector('.share').textContent}`).join(', ');
";

/// The value of an expression that may ask for lanes and their shares.
pub(crate) fn script(expression: &str) -> String {
    format!("{LANE} return {expression}")
}

/// The rows of the page's table.
pub(crate) const ROWS: &str =
    "[...document.querySelectorAll('#table tbody tr')].map((row) => row.innerText).join('\\n')";

/// The bookstore with 90 and 10 in force, and the page with the traffic of so long.
pub(crate) fn raise(purpose: &str, window: &str) -> Result<Stage> {
    let (rule, split) = (step("destination-rule.yaml")?, step("split-90-10.yaml")?);
    let files = [
        ("destination-rule.yaml", rule.as_str()),
        ("virtual-service.yaml", split.as_str()),
    ];
    Stage::raise(purpose, &files, &["--window", window])
}
