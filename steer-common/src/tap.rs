//! The tap: bytes that clients send on routes whose requests are copied, handed to the agent. What is
//! sent is neither held up nor changed; what does not fit into the ring is counted, and not copied.

use crate::service::SplitId;

/// Bytes of a small record.
pub const TAP_SMALL: usize = 512;
/// Bytes of a large one.
pub const TAP_LARGE: usize = 4_096;
/// Records of one segment: what is longer is cut off behind them.
pub const TAP_RECORDS: u32 = 4;

/// Value of TAPPED, by split: a route whose requests are copied.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tapped {
    /// The split itself.
    pub split: SplitId,
    /// Always zero.
    pub pad: u32,
}

/// What a record of TAP begins with.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TapHead {
    /// The kernel's cookie of the socket.
    pub socket: u64,
    /// The cookie of its network namespace.
    pub client: u64,
    /// The split of the route.
    pub split: SplitId,
    /// TCP's sequence number of the first byte.
    pub seq: u32,
    /// How many bytes are used.
    pub len: u32,
    /// Always zero.
    pub pad: u32,
}

/// A record of TAP.
#[repr(C)]
pub struct TapRecord<const N: usize> {
    /// Whose bytes.
    pub head: TapHead,
    /// The bytes.
    pub bytes: [u8; N],
}

impl TapHead {
    /// A record as the ring holds it: its head and its bytes. None if it says what it cannot be.
    pub fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, bytes) = record.split_at_checked(size_of::<Self>())?;
        // SAFETY: as long as the head, which is made of integers: every content is valid.
        let head = unsafe { head.as_ptr().cast::<Self>().read_unaligned() };
        let bytes = bytes.get(..head.len as usize)?;
        Some((head, bytes))
    }
}

const _: () = assert!(size_of::<TapHead>() == 32 && size_of::<Tapped>() == 8);
const _: () = assert!(size_of::<TapRecord<TAP_SMALL>>() == 32 + TAP_SMALL);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_long_as_it_says() {
        let record = TapRecord {
            head: TapHead {
                socket: 1,
                client: 2,
                split: 3,
                seq: 4,
                len: 2,
                pad: 0,
            },
            bytes: *b"GET ",
        };
        // SAFETY: a whole record, without padding.
        let bytes = unsafe {
            core::slice::from_raw_parts((&raw const record).cast::<u8>(), size_of_val(&record))
        };
        assert_eq!(TapHead::read(bytes), Some((record.head, &b"GE"[..])));
        assert_eq!(TapHead::read(&bytes[..33]), None);
        assert_eq!(TapHead::read(&bytes[..31]), None);
    }
}
