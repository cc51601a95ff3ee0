//! Text for people, line by line.

use std::fmt::{self, Write as _};

use super::output::{HEADING, paint};

/// Lines that have been written so far.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Adds a line.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _written = writeln!(self.0, "{line}");
    }

    /// Adds lines that end as lines do.
    pub(super) fn lines(&mut self, lines: &str) {
        self.0.push_str(lines);
    }

    /// Adds a heading.
    pub(super) fn heading(&mut self, heading: &str) {
        self.line(format_args!("{}", paint(HEADING, heading)));
    }

    /// Adds an empty line, unless nothing stands before it.
    pub(super) fn gap(&mut self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
    }

    /// All lines.
    pub(super) fn finish(self) -> String {
        self.0
    }
}
