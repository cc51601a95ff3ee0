//! What changed from one snapshot to the next.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use super::host;

/// Whether both hold the very same objects.
pub(super) fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// The objects of one list that are not in the other; both are sorted by `key`.
pub(super) fn difference<'s, T, K: Ord + 's>(
    old: &'s [Arc<T>],
    new: &'s [Arc<T>],
    key: impl Fn(&'s Arc<T>) -> K,
) -> Vec<&'s Arc<T>> {
    let mut changed = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while let (Some(was), Some(is)) = (old.peek(), new.peek()) {
        match key(was).cmp(&key(is)) {
            Ordering::Less => changed.extend(old.next()),
            Ordering::Greater => changed.extend(new.next()),
            Ordering::Equal if Arc::ptr_eq(was, is) => {
                old.next();
                new.next();
            }
            Ordering::Equal => {
                changed.extend(old.next());
                changed.extend(new.next());
            }
        }
    }
    changed.extend(old);
    changed.extend(new);
    changed
}

/// Host names and patterns about which something changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    names: BTreeSet<String>,
    patterns: BTreeSet<String>,
}

impl Changes {
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self {
            names,
            patterns: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, pattern: String) {
        if host::wildcard_suffix(&pattern).is_some() {
            self.patterns.insert(pattern);
        } else {
            self.names.insert(pattern);
        }
    }

    /// Whether nothing changed.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Whether what was made by looking at these names or patterns must be made anew.
    pub(super) fn concern<'c>(&self, mut consulted: impl Iterator<Item = &'c String>) -> bool {
        if self.is_empty() {
            return false;
        }
        consulted.any(|looked| {
            let by_pattern = |pattern: &String| host::overlaps(pattern, looked);
            self.patterns.iter().any(by_pattern)
                || if host::wildcard_suffix(looked).is_some() {
                    self.names.iter().any(by_pattern)
                } else {
                    self.names.contains(looked)
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(names: &[&str]) -> Vec<Arc<String>> {
        names
            .iter()
            .map(|name| Arc::new((*name).to_owned()))
            .collect()
    }

    #[test]
    fn the_difference_is_what_one_list_has_and_the_other_has_not() {
        let old = objects(&["a", "b", "d"]);
        let mut new = objects(&["a", "c"]);
        new.push(Arc::clone(&old[2]));
        let changed: Vec<&str> = difference(&old, &new, |name| name.as_str())
            .into_iter()
            .map(|name| name.as_str())
            .collect();
        assert_eq!(changed, ["a", "a", "b", "c"]);
        assert!(difference(&old, &old, |name| name.as_str()).is_empty());
        assert!(same(&old, &old) && !same(&old, &new));
    }

    #[test]
    fn names_and_patterns_concern_each_other() {
        let mut changes = Changes::new(BTreeSet::from(["a.com".to_owned()]));
        let concern = |changes: &Changes, name: &str| changes.concern([name.to_owned()].iter());
        assert!(concern(&changes, "a.com") && concern(&changes, "*.com"));
        assert!(!concern(&changes, "b.com") && !concern(&changes, "*.org"));
        changes.add("*.org".to_owned());
        assert!(
            concern(&changes, "b.org")
                && concern(&changes, "*.b.org")
                && !concern(&changes, "b.com")
        );
    }
}
