//! SERVICES: from what was dialled to a row of ROUTES, as a table of buckets in an array map.
//!
//! A look-up in the kernel's own hash map is three calls deep and costs more than the rest of the
//! program; an array look-up is inlined. A bucket holds seven slots and is half a cache line. A
//! slot is the number of a row and seven bits of the key's hash; the row says whose it is. Slots
//! never move: a change overwrites one 32-bit word, so a reader sees the old row or the new one.

use crate::service::{RowId, ServiceKey};

/// Slots of a bucket.
pub const SLOTS: usize = 7;

/// Buckets that are looked at, one after another, before a key counts as absent.
pub const PROBES_MAX: u32 = 4;

/// A slot holds a row below this: 16 million.
pub const ROWS_MAX: u32 = 1 << TAG_SHIFT;

const TAG_SHIFT: u32 = 24;

/// A row of SERVICES.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    /// 0, or tag and row.
    pub slots: [u32; SLOTS],
    /// Not 0 if a key that belongs here stands in the next bucket.
    pub overflow: u32,
}

/// Where a key belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first bucket, before the table's size is applied.
    hash: u32,
    /// What its slot begins with; never 0, so that an occupied slot never is.
    tag: u32,
}

impl Place {
    /// The place of a key.
    #[inline(always)]
    pub fn of(key: &ServiceKey) -> Self {
        let hash = hash(key);
        Self {
            hash: low(hash),
            tag: (low(hash >> 56) | 1) << TAG_SHIFT,
        }
    }

    /// The `probe`th bucket to look at, in a table of `mask + 1` buckets.
    #[inline(always)]
    pub const fn bucket(self, probe: u32, mask: u32) -> u32 {
        self.hash.wrapping_add(probe) & mask
    }

    /// The slot that leads from the key to `row`.
    #[inline(always)]
    pub const fn slot(self, row: RowId) -> u32 {
        self.tag | row
    }

    /// The row that `slot` leads to, if it may be this key's.
    #[inline(always)]
    pub const fn row(self, slot: u32) -> Option<RowId> {
        if slot & !(ROWS_MAX - 1) == self.tag {
            Some(row(slot))
        } else {
            None
        }
    }
}

/// The row that an occupied slot leads to.
#[inline(always)]
pub const fn row(slot: u32) -> RowId {
    slot & (ROWS_MAX - 1)
}

/// How many buckets hold `keys` keys: a power of two, two keys a bucket at most on average. Then
/// one bucket in 200 is full (Poisson), and four in a row are one place in two billion.
pub const fn buckets(keys: u32) -> u32 {
    let wanted = keys.div_ceil(2).next_power_of_two();
    if wanted < 16 { 16 } else { wanted }
}

/// The low half.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the high half is dropped on purpose"
)]
const fn low(value: u64) -> u32 {
    value as u32
}

/// Mixes all bits of the key. Keys come from the cluster's administrators, not from its clients:
/// speed matters here, resistance against chosen keys does not.
#[inline(always)]
fn hash(key: &ServiceKey) -> u64 {
    let [a, b, c, d] = key.addr.words();
    let mut hash = mix(pair(key.class, a), 0x9e37_79b9_7f4a_7c15);
    hash = mix(hash ^ pair(b, c), 0xc2b2_ae3d_27d4_eb4f);
    let port = u64::from(key.port.be()) | u64::from(key.proto) << 16;
    hash = mix(hash ^ u64::from(d) ^ port << 32, 0x1656_67b1_9e37_79f9);
    // Once more: a product's low bits know nothing of its factors' high bits.
    mix(hash, 0xd6e8_feb8_6659_fd93)
}

#[inline(always)]
const fn mix(value: u64, odd: u64) -> u64 {
    let value = value.wrapping_mul(odd);
    value ^ value >> 32
}

#[inline(always)]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

const _: () = assert!(size_of::<Bucket>() == 32);

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::addr::{Addr, Port, Proto};

    /// Neighbouring addresses, neighbouring ports and classes spread as chance would.
    #[test]
    fn neighbours_spread() {
        let addr = |number| Addr::from(Ipv4Addr::from(0x0a60_0000 + number));
        let port = |number: u32| Port::new(u16::try_from(number % 50_000).unwrap());
        assert_spread(|number| ServiceKey::new(0, addr(number), Port::new(80), Proto::Tcp));
        assert_spread(|number| ServiceKey::new(0, addr(number / 50_000), port(number), Proto::Tcp));
        assert_spread(|number| ServiceKey::new(number, addr(1), Port::new(80), Proto::Udp));
    }

    fn assert_spread(key: impl Fn(u32) -> ServiceKey) {
        let count = 100_000;
        let buckets = buckets(count);
        let mut fill = vec![0_u32; buckets as usize];
        for number in 0..count {
            let key = key(number);
            fill[Place::of(&key).bucket(0, buckets - 1) as usize] += 1;
        }
        let full = fill.iter().filter(|&&keys| keys > 7).count();
        assert!(full < 60, "{full} of {buckets} buckets overflow");
        assert!(
            fill.iter().max() < Some(&13),
            "one holds {:?}",
            fill.iter().max()
        );
    }

    #[test]
    fn a_slot_leads_back_to_its_row_only() {
        let key = |port| ServiceKey::new(1, Addr::default(), Port::new(port), Proto::Udp);
        let place = Place::of(&key(53));
        let slot = place.slot(70_000);
        assert_ne!(place.slot(0), 0);
        assert_eq!((row(slot), place.row(slot)), (70_000, Some(70_000)));
        assert_eq!(place.row(0), None);
        let others = (1_000..2_000).filter(|&port| Place::of(&key(port)).row(slot).is_some());
        assert!(
            others.count() < 40,
            "seven bits of the hash tell keys apart"
        );
    }
}
