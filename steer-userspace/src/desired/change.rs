//! What changed from one snapshot to the next.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use super::host;

/// Whether both hold the very same objects.
pub(super) fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// The objects of one list that are not in the other.
#[derive(Debug)]
pub(super) struct Difference<'s, T> {
    pub(super) removed: Vec<&'s Arc<T>>,
    pub(super) added: Vec<&'s Arc<T>>,
}

impl<'s, T> Difference<'s, T> {
    /// Of two lists that are sorted by `key`.
    pub(super) fn new<K: Ord + 's>(
        old: &'s [Arc<T>],
        new: &'s [Arc<T>],
        key: impl Fn(&'s Arc<T>) -> K,
    ) -> Self {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        while let (Some(was), Some(is)) = (old.peek(), new.peek()) {
            if Arc::ptr_eq(was, is) {
                old.next();
                new.next();
                continue;
            }
            let order = key(was).cmp(&key(is));
            if order != Ordering::Greater {
                removed.extend(old.next());
            }
            if order != Ordering::Less {
                added.extend(new.next());
            }
        }
        removed.extend(old);
        added.extend(new);
        Self { removed, added }
    }

    /// Both.
    pub(super) fn all(&self) -> impl Iterator<Item = &'s Arc<T>> {
        self.removed.iter().chain(&self.added).copied()
    }
}

/// Host names and patterns about which something changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) names: BTreeSet<String>,
    pub(super) patterns: BTreeSet<String>,
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
        let text = |objects: &[&Arc<String>]| {
            let texts = objects.iter().map(|object| object.as_str());
            texts.collect::<String>()
        };
        let found = Difference::new(&old, &new, |name| name.as_str());
        assert_eq!(
            (text(&found.removed), text(&found.added)),
            ("ab".into(), "ac".into())
        );
        let none = Difference::new(&old, &old, |name| name.as_str());
        assert_eq!(none.all().count(), 0);
        assert!(same(&old, &old) && !same(&old, &new));
    }
}
