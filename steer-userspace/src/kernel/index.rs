//! SERVICES in the agent's memory: slots are overwritten by atomic stores, no system call.

use std::sync::atomic::{AtomicU32, Ordering};

use steer_common::{
    index::{Bucket, PROBES_MAX, Place, SLOTS, row},
    service::{RowId, ServiceKey},
};

/// The table was too full in one place: its size makes that all but impossible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoSlot;

/// The words of a table of buckets: `SLOTS` slots and the overflow mark of each.
#[derive(Clone, Copy)]
pub(super) struct Table<'a>(&'a [[AtomicU32; SLOTS + 1]]);

impl<'a> Table<'a> {
    /// `buckets.len()` is a power of two.
    pub(super) fn new(buckets: &'a [[AtomicU32; SLOTS + 1]]) -> Self {
        Self(buckets)
    }

    fn mask(self) -> u32 {
        u32::try_from(self.0.len())
            .unwrap_or(u32::MAX)
            .wrapping_sub(1)
    }

    /// Points `key` to `row`: over the slot that leads to `replaces`, or into a free one.
    pub(super) fn publish(
        self,
        key: &ServiceKey,
        row: RowId,
        replaces: Option<RowId>,
    ) -> Result<(), NoSlot> {
        let place = Place::of(key);
        let wanted = replaces.map_or(0, |old| place.slot(old));
        let found = self.find(place, wanted).or_else(|| self.find(place, 0));
        let (probe, slot) = found.ok_or(NoSlot)?;
        // Before the slot, so that a reader who sees the mark too early looks once more in vain,
        // and never the other way round.
        for passed in 0..probe {
            self.bucket(place, passed)[SLOTS].store(1, Ordering::Release);
        }
        // The row was written before: a reader who sees the slot sees the row.
        slot.store(place.slot(row), Ordering::Release);
        Ok(())
    }

    /// Empties the slot that leads from `key` to `row`.
    pub(super) fn unpublish(self, key: &ServiceKey, row: RowId) {
        let place = Place::of(key);
        if let Some((_, slot)) = self.find(place, place.slot(row)) {
            slot.store(0, Ordering::Release);
        }
    }

    /// The rows that slots lead to.
    pub(super) fn rows(self) -> impl Iterator<Item = RowId> + 'a {
        let occupied =
            |slot: &AtomicU32| Some(slot.load(Ordering::Acquire)).filter(|&slot| slot != 0);
        self.0
            .iter()
            .flat_map(move |bucket| bucket[..SLOTS].iter().filter_map(occupied))
            .map(row)
    }

    /// The rows that slots of `key` may lead to.
    pub(super) fn candidates(self, key: &ServiceKey) -> Vec<RowId> {
        let place = Place::of(key);
        let buckets = (0..PROBES_MAX).map(|probe| self.bucket(place, probe));
        buckets
            .flat_map(|bucket| bucket[..SLOTS].iter())
            .filter_map(|slot| place.row(slot.load(Ordering::Acquire)))
            .collect()
    }

    /// A copy.
    pub(super) fn copy(self) -> Vec<Bucket> {
        let load = |word: &AtomicU32| word.load(Ordering::Acquire);
        self.0
            .iter()
            .map(|bucket| Bucket {
                slots: std::array::from_fn(|index| load(&bucket[index])),
                overflow: load(&bucket[SLOTS]),
            })
            .collect()
    }

    fn bucket(self, place: Place, probe: u32) -> &'a [AtomicU32; SLOTS + 1] {
        &self.0[place.bucket(probe, self.mask()) as usize]
    }

    fn find(self, place: Place, wanted: u32) -> Option<(u32, &'a AtomicU32)> {
        (0..PROBES_MAX).find_map(|probe| {
            let slots = &self.bucket(place, probe)[..SLOTS];
            let slot = slots
                .iter()
                .find(|slot| slot.load(Ordering::Acquire) == wanted)?;
            Some((probe, slot))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use steer_common::{Addr, Port, Proto, index::buckets};

    use super::*;

    fn table(count: u32) -> Vec<[AtomicU32; SLOTS + 1]> {
        (0..count)
            .map(|_| std::array::from_fn(|_| AtomicU32::new(0)))
            .collect()
    }

    fn key(number: u16) -> ServiceKey {
        ServiceKey::new(0, Addr::default(), Port::new(number), Proto::Tcp)
    }

    /// What a reader finds, as `decide` walks the table.
    fn look_up(
        table: Table<'_>,
        key: &ServiceKey,
        keys: &BTreeMap<RowId, ServiceKey>,
    ) -> Option<RowId> {
        let place = Place::of(key);
        for probe in 0..PROBES_MAX {
            let bucket = table.bucket(place, probe);
            for slot in &bucket[..SLOTS] {
                if let Some(row) = place.row(slot.load(Ordering::Acquire))
                    && keys.get(&row) == Some(key)
                {
                    return Some(row);
                }
            }
            if bucket[SLOTS].load(Ordering::Acquire) == 0 {
                return None;
            }
        }
        None
    }

    proptest! {
        /// After any publishing and unpublishing, in a table so small that buckets overflow, each
        /// key leads to its newest row and an absent key to none.
        #[test]
        fn readers_find_what_was_published(
            changes in prop::collection::vec((0_u16..200, prop::bool::ANY), 1..600),
        ) {
            let words = table(buckets(96));
            let table = Table::new(&words);
            let mut wanted: BTreeMap<ServiceKey, RowId> = BTreeMap::new();
            let mut keys: BTreeMap<RowId, ServiceKey> = BTreeMap::new();
            for (row, (number, publish)) in (0..).zip(changes) {
                let key = key(number);
                let old = wanted.get(&key).copied();
                if publish && (old.is_some() || wanted.len() < 96) {
                    keys.insert(row, key);
                    table.publish(&key, row, old).unwrap();
                    wanted.insert(key, row);
                } else if let Some(old) = old.filter(|_| !publish) {
                    table.unpublish(&key, old);
                    wanted.remove(&key);
                }
                for number in 0..200 {
                    let key = self::key(number);
                    prop_assert_eq!(look_up(table, &key, &keys), wanted.get(&key).copied());
                }
            }
            let mut rows: Vec<RowId> = table.rows().collect();
            rows.sort_unstable();
            let mut expected: Vec<RowId> = wanted.values().copied().collect();
            expected.sort_unstable();
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn a_full_neighbourhood_is_said() {
        let words = table(1);
        let table = Table::new(&words);
        for number in 0..7 {
            table
                .publish(&key(number), u32::from(number), None)
                .unwrap();
        }
        assert_eq!(table.publish(&key(7), 7, None), Err(NoSlot));
        assert_eq!(table.publish(&key(3), 8, Some(3)), Ok(()));
    }
}
