//! Counting answers: in all, and in every window of them.

use std::{collections::BTreeMap, fmt};

/// How often each version answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Counts versions.
    pub(crate) fn of<S: AsRef<str>>(versions: &[S]) -> Self {
        let mut counts = BTreeMap::new();
        for version in versions {
            *counts.entry(version.as_ref().to_owned()).or_default() += 1;
        }
        Self(counts)
    }

    /// What is expected, version by version; a share of nothing is no entry.
    pub(crate) fn from_shares(shares: &[(&str, u64)]) -> Self {
        let some = shares.iter().filter(|(_, count)| *count > 0);
        Self(
            some.map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        )
    }

    /// Adds what another counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (version, count) in &other.0 {
            *self.0.entry(version.clone()).or_default() += count;
        }
    }

    /// Adds to one version.
    pub(crate) fn add_to(&mut self, version: &str, count: u64) {
        if count > 0 {
            *self.0.entry(version.to_owned()).or_default() += count;
        }
    }

    /// How often `version` answered.
    pub(crate) fn count(&self, version: &str) -> u64 {
        self.0.get(version).copied().unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|(version, count)| format!("{version} {count}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// Windows of consecutive answers: how many there are, and how many hold other shares than expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) seen: usize,
    pub(crate) wrong: usize,
}

impl Windows {
    /// Slides a window as long as `expected` counts over the answers.
    pub(crate) fn of<S: AsRef<str>>(versions: &[S], expected: &Tally) -> Self {
        let size = usize::try_from(expected.total())
            .unwrap_or(usize::MAX)
            .max(1);
        let windows = versions.windows(size);
        Self {
            seen: windows.len(),
            wrong: windows
                .filter(|window| Tally::of(window) != *expected)
                .count(),
        }
    }

    /// There were some, and each was as expected.
    pub(crate) fn exact(self) -> bool {
        self.seen > 0 && self.wrong == 0
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} windows, {} of them otherwise", self.seen, self.wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_looked_at() {
        let expected = Tally::from_shares(&[("v1", 2), ("v2", 1)]);
        let good = ["v1", "v2", "v1", "v1", "v2", "v1"];
        assert_eq!(Windows::of(&good, &expected), Windows { seen: 4, wrong: 0 });
        let late = ["v1", "v1", "v2", "v2", "v1", "v1"];
        assert_eq!(Windows::of(&late, &expected), Windows { seen: 4, wrong: 2 });
    }

    #[test]
    fn too_few_answers_prove_nothing() {
        let expected = Tally::from_shares(&[("v1", 2), ("v2", 1)]);
        assert!(!Windows::of(&["v1", "v2"], &expected).exact());
    }

    #[test]
    fn a_share_of_nothing_is_not_expected() {
        assert_eq!(
            Tally::from_shares(&[("v1", 2), ("v2", 0)]),
            Tally::of(&["v1", "v1"])
        );
    }
}
