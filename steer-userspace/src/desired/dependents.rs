//! Who looked at what: a change is led to those that it concerns, without asking all others.

use std::collections::{BTreeMap, BTreeSet};

use super::{change::Changes, host};

/// What was made, by the names and patterns that were looked at for it.
#[derive(Debug)]
pub(super) struct Dependents<K> {
    by_name: BTreeMap<String, BTreeSet<K>>,
    by_pattern: BTreeMap<String, BTreeSet<K>>,
}

impl<K> Default for Dependents<K> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            by_pattern: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Dependents<K> {
    /// `key` was made by looking at `consulted`.
    pub(super) fn add(&mut self, key: &K, consulted: &BTreeSet<String>) {
        for name in consulted {
            let of_name = match host::wildcard_suffix(name) {
                Some(_) => self.by_pattern.entry(name.clone()).or_default(),
                None => self.by_name.entry(name.clone()).or_default(),
            };
            of_name.insert(key.clone());
        }
    }

    /// Forgets `key`, which was made by looking at `consulted`.
    pub(super) fn remove(&mut self, key: &K, consulted: &BTreeSet<String>) {
        for name in consulted {
            if host::wildcard_suffix(name).is_some() {
                let keys = self.by_pattern.get_mut(name);
                if keys.is_some_and(|keys| keys.remove(key) && keys.is_empty()) {
                    self.by_pattern.remove(name);
                }
            } else {
                let keys = self.by_name.get_mut(name);
                if keys.is_some_and(|keys| keys.remove(key) && keys.is_empty()) {
                    self.by_name.remove(name);
                }
            }
        }
    }

    /// Those that looked at something that changed. A pattern that changed concerns what overlaps
    /// it, and so does a pattern that was looked at.
    pub(super) fn concerned(&self, changes: &Changes) -> BTreeSet<K> {
        let named = changes
            .names
            .iter()
            .filter_map(|name| self.by_name.get(name));
        let mut found: BTreeSet<K> = named.flatten().cloned().collect();
        if !changes.patterns.is_empty() {
            let all = self.by_name.iter();
            let fitting = all.filter(|(name, _)| {
                changes
                    .patterns
                    .iter()
                    .any(|pattern| host::overlaps(pattern, name))
            });
            found.extend(fitting.flat_map(|(_, keys)| keys).cloned());
        }
        for (looked, keys) in &self.by_pattern {
            let mut changed = changes.names.iter().chain(&changes.patterns);
            if changed.any(|name| host::overlaps(looked, name)) {
                found.extend(keys.iter().cloned());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn changes(names: &[&str]) -> Changes {
        let mut changes = Changes::default();
        names
            .iter()
            .for_each(|name| changes.add((*name).to_owned()));
        changes
    }

    #[test]
    fn names_and_patterns_concern_each_other() {
        let mut dependents = Dependents::default();
        dependents.add(&1, &set(&["a.com", "b.com"]));
        dependents.add(&2, &set(&["*.com"]));
        dependents.add(&3, &set(&["a.org"]));
        let concerned = |dependents: &Dependents<i32>, names: &[&str]| {
            Vec::from_iter(dependents.concerned(&changes(names)))
        };
        assert_eq!(concerned(&dependents, &["a.com"]), [1, 2]);
        assert_eq!(concerned(&dependents, &["c.com"]), [2]);
        assert_eq!(concerned(&dependents, &["*.org"]), [3]);
        assert_eq!(concerned(&dependents, &["*.b.com"]), [2]);
        assert_eq!(concerned(&dependents, &["*"]), [1, 2, 3]);
        assert!(concerned(&dependents, &[]).is_empty());
        dependents.remove(&1, &set(&["a.com", "b.com"]));
        dependents.remove(&2, &set(&["*.com"]));
        assert_eq!(concerned(&dependents, &["*"]), [3]);
        assert!(dependents.by_name.len() == 1 && dependents.by_pattern.is_empty());
    }
}
