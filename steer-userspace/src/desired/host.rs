//! Host names: short and full, wildcards, which of two is the more specific.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::source::host::qualify;
pub use crate::source::host::{covers, overlaps};

/// The full name of `name` as a resource in `namespace` means it. DNS does not tell case apart.
pub fn full_name(name: &str, namespace: &str, domain: &str) -> String {
    qualify(name, namespace, domain).to_ascii_lowercase()
}

/// The suffix of a wildcard name; `None` for a plain one.
pub fn wildcard_suffix(name: &str) -> Option<&str> {
    name.strip_prefix('*')
}

/// Values by host pattern, found by name: the most specific pattern first.
#[derive(Clone, Debug)]
pub struct HostIndex<T> {
    exact: BTreeMap<String, T>,
    /// By suffix, without the star.
    wildcard: BTreeMap<String, T>,
    /// Lengths of the suffixes, the longest first: at most one suffix of each length fits a name.
    lengths: BTreeSet<Reverse<usize>>,
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::new(),
            wildcard: BTreeMap::new(),
            lengths: BTreeSet::new(),
        }
    }
}

impl<T: Default> HostIndex<T> {
    /// The value of `pattern`, a new one if there is none.
    pub fn entry(&mut self, pattern: &str) -> &mut T {
        match wildcard_suffix(pattern) {
            Some(suffix) => {
                self.lengths.insert(Reverse(suffix.len()));
                self.wildcard.entry(suffix.to_owned()).or_default()
            }
            None => self.exact.entry(pattern.to_owned()).or_default(),
        }
    }

    /// Forgets the value of exactly this pattern.
    pub fn remove(&mut self, pattern: &str) {
        match wildcard_suffix(pattern) {
            // The lengths stay: one in vain costs a look-up.
            Some(suffix) => drop(self.wildcard.remove(suffix)),
            None => drop(self.exact.remove(pattern)),
        }
    }

    /// The value of exactly this pattern.
    pub fn get(&self, pattern: &str) -> Option<&T> {
        match wildcard_suffix(pattern) {
            Some(suffix) => self.wildcard.get(suffix),
            None => self.exact.get(pattern),
        }
    }

    /// The values of the patterns that `name` fits, the most specific first. A wildcard name is
    /// looked up as such, then under the wider ones.
    pub fn all<'i>(&'i self, name: &str) -> impl Iterator<Item = &'i T> {
        let (exact, suffix) = match wildcard_suffix(name) {
            Some(suffix) => (None, suffix),
            None => (self.exact.get(name), name),
        };
        exact
            .into_iter()
            .chain(self.lengths.iter().filter_map(move |Reverse(length)| {
                let start = suffix.len().checked_sub(*length)?;
                self.wildcard.get(suffix.get(start..)?)
            }))
    }

    /// All values, by pattern.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.wildcard.values())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

#[cfg(test)]
mod tests;
