//! Which rows of a map are free.

use std::collections::{BTreeMap, BTreeSet};

/// Contiguous ranges of one map, first fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ranges {
    /// Start -> length of each hole; neighbours are always joined.
    holes: BTreeMap<u32, u32>,
}

impl Ranges {
    /// All rows of `first..end` are free.
    pub(super) fn new(first: u32, end: u32) -> Self {
        let mut ranges = Self {
            holes: BTreeMap::new(),
        };
        ranges.free(first, end.saturating_sub(first));
        ranges
    }

    /// Takes `count` rows in a row; `None` if no hole is large enough. Zero rows start anywhere.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        if count == 0 {
            return Some(0);
        }
        let (&start, &length) = self.holes.iter().find(|&(_, &length)| length >= count)?;
        self.holes.remove(&start);
        if length > count {
            self.holes.insert(start + count, length - count);
        }
        Some(start)
    }

    /// Takes exactly `start..start + count`; false if some of it is not free.
    pub(super) fn take_at(&mut self, start: u32, count: u32) -> bool {
        if count == 0 {
            return true;
        }
        let Some((&hole, &length)) = self.holes.range(..=start).next_back() else {
            return false;
        };
        if hole + length < start.saturating_add(count) {
            return false;
        }
        self.holes.remove(&hole);
        if hole < start {
            self.holes.insert(hole, start - hole);
        }
        let end = start + count;
        if hole + length > end {
            self.holes.insert(end, hole + length - end);
        }
        true
    }

    /// Gives rows back.
    pub(super) fn free(&mut self, start: u32, count: u32) {
        if count == 0 {
            return;
        }
        let mut start = start;
        let mut length = count;
        if let Some((&before, &size)) = self.holes.range(..start).next_back()
            && before + size == start
        {
            self.holes.remove(&before);
            start = before;
            length += size;
        }
        if let Some(after) = self.holes.remove(&(start + length)) {
            length += after;
        }
        self.holes.insert(start, length);
    }

    /// How many rows are free.
    #[cfg(test)]
    pub(super) fn available(&self) -> u32 {
        self.holes.values().sum()
    }
}

/// Single rows of one map, the lowest free one first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    returned: BTreeSet<u32>,
    next: u32,
    end: u32,
}

impl Slots {
    /// Rows `0..end` are free.
    pub(super) fn new(end: u32) -> Self {
        Self {
            returned: BTreeSet::new(),
            next: 0,
            end,
        }
    }

    /// How many rows are free.
    pub(super) fn available(&self) -> u32 {
        let returned = u32::try_from(self.returned.len()).unwrap_or(u32::MAX);
        returned.saturating_add(self.end - self.next)
    }

    /// Takes a row; `None` if all are taken.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(slot) = self.returned.pop_first() {
            return Some(slot);
        }
        (self.next < self.end).then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Takes exactly `slot`; false if it is not free.
    pub(super) fn take_at(&mut self, slot: u32) -> bool {
        if slot >= self.end {
            return false;
        }
        if slot < self.next {
            return self.returned.remove(&slot);
        }
        self.returned.extend(self.next..slot);
        self.next = slot + 1;
        true
    }

    /// Gives a row back.
    pub(super) fn free(&mut self, slot: u32) {
        self.returned.insert(slot);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is taken never overlaps, and giving everything back leaves one hole.
        #[test]
        fn ranges_never_overlap(counts in prop::collection::vec((1_u32..20, any::<bool>()), 1..60)) {
            let mut ranges = Ranges::new(64, 600);
            let mut taken: Vec<(u32, u32)> = Vec::new();
            for (count, give_back) in counts {
                if give_back && let Some((start, count)) = taken.pop() {
                    ranges.free(start, count);
                }
                if let Some(start) = ranges.take(count) {
                    prop_assert!(start >= 64 && start + count <= 600);
                    for &(other, size) in &taken {
                        prop_assert!(start + count <= other || other + size <= start);
                    }
                    taken.push((start, count));
                }
            }
            for (start, count) in taken {
                ranges.free(start, count);
            }
            prop_assert_eq!(ranges, Ranges::new(64, 600));
        }

        /// Taking known rows leaves the same as never having had them.
        #[test]
        fn taken_at_is_not_given_again(start in 0_u32..90, count in 1_u32..10) {
            let mut ranges = Ranges::new(0, 100);
            prop_assert!(ranges.take_at(start, count));
            prop_assert!(!ranges.take_at(start, 1));
            prop_assert_eq!(ranges.available(), 100 - count);
            ranges.free(start, count);
            prop_assert_eq!(ranges, Ranges::new(0, 100));
        }
    }

    #[test]
    fn slots_are_given_once() {
        let mut slots = Slots::new(5);
        assert!(slots.take_at(3) && !slots.take_at(3) && !slots.take_at(5));
        let rest: Vec<_> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!(rest, [0, 1, 2, 4]);
        slots.free(1);
        assert_eq!(
            (slots.available(), slots.take(), slots.take()),
            (1, Some(1), None)
        );
    }
}
