//! What failed and why, kept to be said once more at the end: thousands of lines may stand between.

use super::count::without_colours;

/// The reports of failed tests, as the test programs printed them.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    lines: Vec<String>,
    reading: bool,
}

/// What opens the reports of a libtest-like program, and stands again before the bare names.
const HEADING: &str = "failures:";

impl Failures {
    /// Reads one line of a libtest-like program.
    pub(crate) fn read(&mut self, line: &str) {
        let plain = without_colours(line);
        match plain.trim_end() {
            HEADING => self.reading = !self.reading,
            // A program that died in its report has not closed it.
            line if line.starts_with("test result: ") || begins(line) => self.reading = false,
            line if self.reading && !line.is_empty() => self.lines.push(line.to_owned()),
            _ => {}
        }
    }

    /// The reports.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// Whether this is the first line of a program: `running 3 tests`.
fn begins(line: &str) -> bool {
    let count = line.strip_prefix("running ");
    let count = count.and_then(|rest| rest.split_once(" test"));
    count.is_some_and(|(count, _)| count.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_kept_and_nothing_else() {
        let mut failures = Failures::default();
        let output = "\nrunning 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\x1b[31mfailures:\x1b(B\x1b[m\n\n\
                      ---- b ----\nrunning curl: 3 is not 4\n\n  at the well\n\n\nfailures:\n    b\n\n\
                      test result: FAILED. 1 passed; 1 failed; 0 ignored\ntest c ... ok\n";
        for line in output.lines() {
            failures.read(line);
        }
        assert_eq!(
            failures.lines(),
            ["---- b ----", "running curl: 3 is not 4", "  at the well"]
        );
    }

    #[test]
    fn a_program_that_dies_in_its_report_leaves_the_next_one_alone() {
        let mut failures = Failures::default();
        let died = ["failures:", "---- b ----"];
        let next = [
            "running 1 test",
            "test c ... FAILED",
            "failures:",
            "---- c ----",
            "failures:",
            "    c",
        ];
        for line in died.iter().chain(&next) {
            failures.read(line);
        }
        assert_eq!(failures.lines(), ["---- b ----", "---- c ----"]);
    }
}
