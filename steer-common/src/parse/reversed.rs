//! A name as it is read, written reversed into a room from which a key of `EGRESS_NAMES` is taken
//! without a copy.

use core::ptr::read_volatile;

use crate::egress::name::fold;

/// Where the first byte of a name stands; the others stand before it.
const NAME_END: usize = 512;
/// Room behind it, so that a key of full length begins at any name.
pub const NAME_ROOM: usize = 1_024;
/// The longest name, without the zero.
pub const NAME_LEN_MAX: usize = 253;
/// Prefix length and policy of a key, before the name.
const KEY_HEAD: usize = 6;

/// The room, in map memory.
#[repr(C)]
pub struct Reversed {
    room: [u8; NAME_ROOM],
    /// Where the name begins.
    start: usize,
}

impl Reversed {
    /// Room for a name.
    pub const fn new() -> Self {
        Self {
            room: [0; NAME_ROOM],
            start: NAME_END,
        }
    }

    /// Forgets the name.
    #[inline(always)]
    pub const fn clear(&mut self) {
        self.start = NAME_END;
    }

    /// Adds a byte; false if no name holds it, or if it is one too many.
    #[inline(always)]
    pub const fn put(&mut self, byte: u8) -> bool {
        let Some(byte) = fold(byte) else {
            return false;
        };
        let start = self.start;
        if start > NAME_END || start <= NAME_END - NAME_LEN_MAX {
            return false;
        }
        let start = start - 1;
        self.room[start & (NAME_ROOM - 1)] = byte;
        self.start = start;
        true
    }

    /// How long it is.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        NAME_END.saturating_sub(self.start)
    }

    /// Whether there is none.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes among which it stands.
    #[inline(always)]
    pub const fn room(&self) -> &[u8; NAME_ROOM] {
        &self.room
    }

    /// Writes the head of a key before the name, the zero behind it, and says where the key begins.
    /// 260 bytes follow from there.
    #[inline(always)]
    pub fn key(&mut self, policy: u32) -> usize {
        let mut start = self.start;
        if !(NAME_END - NAME_LEN_MAX..=NAME_END).contains(&start) {
            start = NAME_END;
        }
        // Policy, name and the zero behind it.
        #[expect(clippy::cast_possible_truncation, reason = "253 at most")]
        let bits = (2 + (NAME_END - start) as u32 + 1) * 8;
        let at = start - KEY_HEAD;
        // The mask changes nothing. Volatile, for LLVM would drop it, and Linux 6.12 does not see
        // the range above: "math between map_value pointer and register with unbounded min value".
        // SAFETY: a local.
        let at = unsafe { read_volatile(&raw const at) } & (NAME_END - 1);
        let [a, b, c, d] = bits.to_ne_bytes();
        let [low, high, ..] = policy.to_le_bytes();
        self.room[NAME_END] = 0;
        let mut index = 0;
        let head = [a, b, c, d, low, high];
        while index < KEY_HEAD {
            self.room[(at + index) & (NAME_ROOM - 1)] = head[index];
            index += 1;
        }
        at
    }

    /// The name as people write it. For tests and events.
    #[inline(always)]
    pub fn spelled(&self) -> impl Iterator<Item = u8> + '_ {
        (self.start..NAME_END)
            .rev()
            .map(|at| self.room[at & (NAME_ROOM - 1)])
    }
}

impl Default for Reversed {
    fn default() -> Self {
        Self::new()
    }
}
