//! The kernel's own type information (BTF), as far as offsets of members go. aya reads it too, and
//! does not tell them.

use std::{collections::HashMap, fs};

use super::KernelError;

const FILE: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// One structure or union.
struct Composite {
    /// Its members are offset by the low 24 bits: the high ones are the size of a bit field.
    bit_fields: bool,
    /// Where its members begin in the file, and how many there are.
    members: usize,
    count: usize,
}

/// The structures of a kernel.
pub(super) struct Types {
    bytes: Vec<u8>,
    strings: usize,
    /// By number; a type that is none of these is not there.
    composites: HashMap<u32, Composite>,
    named: HashMap<String, u32>,
}

impl Types {
    /// Those of the running kernel.
    pub(super) fn read() -> Result<Self, KernelError> {
        let bytes = fs::read(FILE).map_err(|_| KernelError::NoBtf)?;
        Self::parse(bytes).ok_or(KernelError::NoBtf)
    }

    /// `None` if it is cut short, or holds a kind that nobody knows.
    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut types = Self {
            bytes,
            strings: 0,
            composites: HashMap::new(),
            named: HashMap::new(),
        };
        if types.word(0)? & 0xffff != u32::from(MAGIC) {
            return None;
        }
        let header = types.place(4)?;
        let first = header + types.place(8)?;
        let end = first + types.place(12)?;
        types.strings = header + types.place(16)?;
        let (mut at, mut number) = (first, 1);
        while at < end {
            at = types.one(at, number)?;
            number += 1;
        }
        (at == end).then_some(types)
    }

    /// Reads the type at a place; says where the next one is.
    fn one(&mut self, at: usize, number: u32) -> Option<usize> {
        let (name, info) = (self.word(at)?, self.word(at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let members = at + 12;
        if matches!(kind, STRUCT | UNION) {
            let bit_fields = info >> 31 == 1;
            let composite = Composite {
                bit_fields,
                members,
                count,
            };
            self.composites.insert(number, composite);
            if kind == STRUCT && name != 0 {
                self.named.insert(self.text(name)?.to_owned(), number);
            }
        }
        Some(members + room(kind, count)?)
    }

    /// Where a member is in a structure, in bytes; those of its unnamed members are its own.
    pub(super) fn offset(&self, name: &str, member: &str) -> Option<u32> {
        self.bit(name, member).map(|bit| bit / 8)
    }

    /// The same in bits, for members that are some of a byte's.
    pub(super) fn bit(&self, name: &str, member: &str) -> Option<u32> {
        self.bit_in(*self.named.get(name)?, member, 8)
    }

    fn bit_in(&self, number: u32, member: &str, depth: u32) -> Option<u32> {
        let composite = self.composites.get(&number)?;
        (0..composite.count).find_map(|index| {
            let at = composite.members + index * 12;
            let (name, kind, offset) = (self.word(at)?, self.word(at + 4)?, self.word(at + 8)?);
            let bits = if composite.bit_fields {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            match self.text(name)? {
                "" if depth > 0 => Some(bits + self.bit_in(kind, member, depth - 1)?),
                found => (found == member).then_some(bits),
            }
        })
    }

    fn text(&self, at: u32) -> Option<&str> {
        let rest = self.bytes.get(self.strings + at as usize..)?;
        let text = rest.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(text).ok()
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    }

    fn place(&self, at: usize) -> Option<usize> {
        self.word(at).map(|word| word as usize)
    }
}

/// How many bytes follow the three words of a type (linux/btf.h).
fn room(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, tags of types.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Enumerations of 32 bits, prototypes.
        6 | 13 => count * 8,
        // Composites, sections, enumerations of 64 bits.
        STRUCT | UNION | 15 | 19 => count * 12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these words of types, and these strings.
    fn file(types: &[u32], strings: &str) -> Vec<u8> {
        let length = u32::try_from(types.len() * 4).unwrap();
        let size = u32::try_from(strings.len()).unwrap();
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, length, length, size];
        let words = header.iter().chain(types);
        let bytes = words.flat_map(|word| word.to_ne_bytes());
        bytes.chain(strings.bytes()).collect()
    }

    #[test]
    fn members_of_unnamed_members_are_found() {
        let types = [
            // 1: struct "a" { 2 (unnamed) at 64 bits; "c" at 128 bits }.
            1,
            STRUCT << 24 | 2,
            24,
            0,
            2,
            64,
            5,
            3,
            128,
            // 2: union { "b" at 32 bits }.
            0,
            UNION << 24 | 1,
            8,
            3,
            3,
            32,
            // 3: an integer.
            7,
            1 << 24,
            4,
            32,
        ];
        let types = Types::parse(file(&types, "\0a\0b\0c\0int\0")).unwrap();
        assert_eq!(types.offset("a", "b"), Some(12));
        assert_eq!(types.offset("a", "c"), Some(16));
        assert_eq!(types.bit("a", "b"), Some(96));
        assert_eq!(types.offset("a", "d"), None);
        assert_eq!(types.offset("d", "b"), None);
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_nothing() {
        assert!(Types::parse(Vec::new()).is_none());
        assert!(Types::parse(file(&[1, STRUCT << 24 | 1], "\0a\0")).is_none());
        assert!(Types::parse(file(&[1, 31 << 24, 0], "\0a\0")).is_none());
        let whole = file(&[1, STRUCT << 24, 0], "\0a\0");
        assert!(Types::parse(whole).is_some());
    }

    /// Where this kernel keeps what every kernel has.
    #[test]
    fn this_kernel_has_its_lists_first() {
        let types = Types::read().unwrap();
        assert_eq!(types.offset("list_head", "prev"), Some(8));
        assert!(types.offset("sk_buff", "sk").unwrap() > 0);
    }
}
