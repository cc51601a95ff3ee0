//! How many tests passed, failed and were skipped.

use std::{fmt, iter::Sum, ops::AddAssign};

/// Counts of one test program, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Count {
    /// Reads the last line of a libtest-like program; nothing from any other line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let plain = without_colours(line);
        let (_, counts) = plain.strip_prefix("test result: ")?.split_once(". ")?;
        let mut count = Self::default();
        for part in counts.split("; ") {
            let Some((number, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            match what {
                "passed" => count.passed = number,
                "failed" => count.failed = number,
                "ignored" => count.skipped = number,
                _ => {}
            }
        }
        Some(count)
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut total, count| {
            total += count;
            total
        })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The text between terminal escapes `ESC [ ... m` and `ESC ( B`.
pub(super) fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_read() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; \
                    7 filtered out; finished in 0.01s";
        let count = Count::read(line).expect("a count");
        assert_eq!(
            count,
            Count {
                passed: 12,
                failed: 1,
                skipped: 2
            }
        );
        assert_eq!(count.to_string(), "12 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn colours_do_not_hide_counts() {
        let line = "test result: \x1b[32mok\x1b(B\x1b[m. 3 passed; 0 failed; 0 ignored";
        assert_eq!(
            Count::read(line),
            Some(Count {
                passed: 3,
                failed: 0,
                skipped: 0
            })
        );
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["test a ... ok", "3 passed; 0 failed", "", "running 3 tests"] {
            assert_eq!(Count::read(line), None);
        }
    }

    #[test]
    fn counts_add_up() {
        let one = Count {
            passed: 1,
            failed: 2,
            skipped: 3,
        };
        assert_eq!(
            [one, one].into_iter().sum::<Count>(),
            Count {
                passed: 2,
                failed: 4,
                skipped: 6
            }
        );
    }
}
