//! DNS messages: the question, and the addresses of the answer.
//!
//! A reader drives two loops: `name_step` until it stops, at most [`NAME_STEPS`] times, then
//! `record_step`, at most [`RECORD_STEPS`] times. All state is in [`Dns`], in map memory, so that
//! the verifier need not follow it. Pointers are never followed: a question has none, and the
//! owner of a record does not matter, for the resolver is trusted and was asked this question.

use super::packet::mix;
use crate::{addr::Addr, egress::name::fold};

/// Bytes of a message that are looked at: what resolvers send over UDP at most.
pub const MESSAGE_MAX: usize = 4_096;

/// A name has 255 bytes at most, the last of them zero.
pub const NAME_STEPS: u32 = 256;

/// Records, and labels of owners that are not compressed.
pub const RECORD_STEPS: u32 = 512;

/// Where the first byte of a name stands; the others stand before it.
const NAME_END: usize = 512;
/// Room behind it, so that a key of full length begins at any name.
const NAME_ROOM: usize = 1_024;
/// The longest name, without the zero.
const NAME_LEN_MAX: usize = 253;
/// Prefix length and policy of a key of `EGRESS_NAMES`, before the name.
const KEY_HEAD: usize = 6;

/// Length of the header.
pub const HEADER: usize = 12;

const TYPE_A: u32 = 1;
const TYPE_CNAME: u32 = 5;
const TYPE_AAAA: u32 = 28;
const CLASS_IN: u32 = 1;

/// A message and how far it was read.
#[repr(C)]
pub struct Dns {
    /// The message.
    pub bytes: [u8; MESSAGE_MAX],
    /// The question's name, reversed, ending before `NAME_END`.
    name: [u8; NAME_ROOM],
    /// How long the message is.
    len: usize,
    /// The byte to read next.
    pos: usize,
    /// Where the name begins.
    start: usize,
    /// Bytes left of a label.
    label: usize,
    /// Hash of what was asked.
    question: u64,
    /// Records left.
    records: u32,
    /// The least TTL of the aliases that led to the addresses.
    alias_ttl_secs: u32,
    /// Not 0 once something did not fit together.
    bad: u32,
    pad: u32,
}

/// What the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The number that links answer and question.
    pub id: u16,
    /// Whether it is an answer.
    pub answer: bool,
    /// 0 if all is well.
    pub code: u8,
    /// Records in the answer section.
    pub answers: u16,
}

/// What one step over the records found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing; there is more.
    Nothing,
    /// An address and the seconds it is good for.
    Address(Addr, u32),
    /// The end.
    End,
    /// An address in the last record.
    Last(Addr, u32),
}

impl Dns {
    /// Room for a message.
    pub const fn new() -> Self {
        Self {
            bytes: [0; MESSAGE_MAX],
            name: [0; NAME_ROOM],
            len: 0,
            pos: 0,
            start: 0,
            label: 0,
            question: 0,
            records: 0,
            alias_ttl_secs: 0,
            bad: 0,
            pad: 0,
        }
    }

    /// Starts reading a message whose first `len` bytes are in `bytes`. None if it is no query or
    /// answer with one question.
    #[inline(always)]
    pub fn begin(&mut self, len: usize) -> Option<Header> {
        self.len = len;
        self.pos = HEADER;
        self.start = NAME_END;
        self.label = 0;
        self.question = SEED;
        self.records = 0;
        self.alias_ttl_secs = u32::MAX;
        self.bad = 0;
        if !(HEADER..=MESSAGE_MAX).contains(&len) {
            return None;
        }
        let flags = self.word(2);
        // Opcode 0, one question.
        if flags & 0x7800 != 0 || self.word(4) != 1 {
            return None;
        }
        let answers = self.word(6);
        self.records = u32::from(answers);
        Some(Header {
            id: self.word(0),
            answer: flags & 0x8000 != 0,
            code: flags.to_be_bytes()[1] & 0xf,
            answers,
        })
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes[at & (MESSAGE_MAX - 1)]
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.byte(at), self.byte(at.wrapping_add(1))])
    }

    #[inline(always)]
    fn quad(&self, at: usize) -> u32 {
        u32::from(self.word(at)) << 16 | u32::from(self.word(at.wrapping_add(2)))
    }

    /// Reads one byte of the question's name; true at its end.
    #[inline(always)]
    pub fn name_step(&mut self) -> bool {
        let pos = self.pos;
        if pos >= self.len || pos >= MESSAGE_MAX {
            return self.fail();
        }
        let byte = self.byte(pos);
        self.pos = pos + 1;
        self.question = mix(self.question ^ u64::from(byte | fold_bit(byte)));
        if self.label == 0 {
            // A pointer has no place in a question; other lengths do not exist.
            if byte > 63 {
                return self.fail();
            }
            self.label = byte as usize;
            if byte == 0 {
                return true;
            }
            return self.start != NAME_END && self.put(b'.');
        }
        self.label -= 1;
        match fold(byte) {
            // A dot inside a label would forge a boundary.
            None | Some(b'.') => self.fail(),
            Some(byte) => self.put(byte),
        }
    }

    #[inline(always)]
    fn put(&mut self, byte: u8) -> bool {
        let start = self.start;
        if start > NAME_END || start <= NAME_END - NAME_LEN_MAX {
            return self.fail();
        }
        let start = start - 1;
        self.name[start & (NAME_ROOM - 1)] = byte;
        self.start = start;
        false
    }

    #[inline(always)]
    fn fail(&mut self) -> bool {
        self.bad = 1;
        true
    }

    /// After the name: its type and class are hashed too, and the records begin.
    /// None if the name could not be read, or is empty.
    #[inline(always)]
    pub fn end_name(&mut self) -> Option<u64> {
        let pos = self.pos;
        if self.bad != 0 || self.start >= NAME_END || pos + 4 > self.len || pos > MESSAGE_MAX {
            self.bad = 1;
            return None;
        }
        self.pos = pos + 4;
        self.question = mix(self.question ^ u64::from(self.quad(pos)));
        Some(self.question)
    }

    /// Whether something did not fit together.
    #[inline(always)]
    pub const fn is_bad(&self) -> bool {
        self.bad != 0
    }

    /// Hash of the question.
    #[inline(always)]
    pub const fn question(&self) -> u64 {
        self.question
    }

    /// The question's name, reversed: where it begins, and how long it is.
    #[inline(always)]
    pub const fn name_at(&self) -> (usize, usize) {
        let start = self.start;
        if start > NAME_END || start < NAME_END - NAME_LEN_MAX {
            return (NAME_END, 0);
        }
        (start, NAME_END - start)
    }

    /// The bytes among which the name stands.
    #[inline(always)]
    pub const fn name_room(&self) -> &[u8; NAME_ROOM] {
        &self.name
    }

    /// Writes the head of a key of `EGRESS_NAMES` before the name, the zero behind it, and says
    /// where the key begins. 260 bytes follow from there.
    #[inline(always)]
    pub fn name_key(&mut self, policy: u32) -> usize {
        let (start, len) = self.name_at();
        // Policy, name and the zero behind it.
        #[expect(clippy::cast_possible_truncation, reason = "253 at most")]
        let bits = (2 + len as u32 + 1) * 8;
        let at = start - KEY_HEAD;
        let [a, b, c, d] = bits.to_ne_bytes();
        let [low, high, ..] = policy.to_le_bytes();
        self.name[NAME_END] = 0;
        let mut index = 0;
        let head = [a, b, c, d, low, high];
        while index < KEY_HEAD {
            self.name[(at + index) & (NAME_ROOM - 1)] = head[index];
            index += 1;
        }
        at
    }

    /// Writes the head of a row of `NAMES_SEEN` (hash and length) before the name and says where the
    /// row begins; the name follows. The key of `name_key` is overwritten.
    #[inline(always)]
    pub fn seen_name(&mut self, head: usize) -> usize {
        let (start, len) = self.name_at();
        let at = start.wrapping_sub(head);
        let question = self.question.to_ne_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "253 at most")]
        let len = (len as u32).to_ne_bytes();
        let mut index = 0;
        while index < 8 {
            self.name[(at.wrapping_add(index)) & (NAME_ROOM - 1)] = question[index];
            index += 1;
        }
        index = 0;
        while index < 4 {
            self.name[(at.wrapping_add(8 + index)) & (NAME_ROOM - 1)] = len[index];
            index += 1;
        }
        at
    }

    /// Reads one label of an owner's name, or the end of it and the record.
    #[inline(always)]
    pub fn record_step(&mut self) -> Found {
        let pos = self.pos;
        if self.records == 0 {
            return Found::End;
        }
        if pos >= self.len || pos >= MESSAGE_MAX {
            self.bad = 1;
            return Found::End;
        }
        let byte = self.byte(pos);
        let body = match byte {
            0 => pos + 1,
            1..=63 => {
                self.pos = pos + 1 + byte as usize;
                return Found::Nothing;
            }
            0xc0.. => pos + 2,
            _ => {
                self.bad = 1;
                return Found::End;
            }
        };
        self.record(body)
    }

    #[inline(always)]
    fn record(&mut self, body: usize) -> Found {
        let data = body + 10;
        let length = self.word(body + 8) as usize;
        if data + length > self.len {
            self.bad = 1;
            return Found::End;
        }
        let (kind, class) = (u32::from(self.word(body)), u32::from(self.word(body + 2)));
        let mut ttl_secs = self.quad(body + 4);
        // The highest bit set means none (RFC 2181, section 8).
        if ttl_secs > i32::MAX as u32 {
            ttl_secs = 0;
        }
        self.pos = data + length;
        self.records -= 1;
        if ttl_secs < self.alias_ttl_secs && kind == TYPE_CNAME {
            self.alias_ttl_secs = ttl_secs;
        }
        let addr = match (class, kind, length) {
            (CLASS_IN, TYPE_A, 4) => Addr::from_v4_word(self.quad(data).to_be()),
            (CLASS_IN, TYPE_AAAA, 16) => Addr::from_words([
                self.quad(data).to_be(),
                self.quad(data + 4).to_be(),
                self.quad(data + 8).to_be(),
                self.quad(data + 12).to_be(),
            ]),
            _ => return Found::Nothing,
        };
        if ttl_secs > self.alias_ttl_secs {
            ttl_secs = self.alias_ttl_secs;
        }
        if self.records == 0 {
            Found::Last(addr, ttl_secs)
        } else {
            Found::Address(addr, ttl_secs)
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self::new()
    }
}

/// The bit that makes a letter small.
#[inline(always)]
const fn fold_bit(byte: u8) -> u8 {
    if byte.is_ascii_uppercase() { 0x20 } else { 0 }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Addresses that no answer may teach, whoever's they are: unspecified, loopback, link-local,
/// multicast. Those of the cluster are in `EGRESS_NETS`.
#[inline(always)]
pub const fn is_never_learned(addr: &Addr) -> bool {
    if addr.is_v4() {
        let [a, b, ..] = addr.v4_word().to_ne_bytes();
        return a == 0 || a == 127 || (a == 169 && b == 254) || a >= 224;
    }
    let [first, second, third, _] = addr.words();
    let [a, b, ..] = first.to_ne_bytes();
    let low = first == 0 && second == 0 && third == 0;
    low || (a == 0xfe && b & 0xc0 == 0x80) || a == 0xff
}

/// Reads a whole message, as the kernel does: the question, then each address. For tests and for
/// whoever else has the message in memory.
pub fn read(dns: &mut Dns, len: usize, mut each: impl FnMut(Addr, u32)) -> Option<(Header, u64)> {
    let header = dns.begin(len)?;
    (0..NAME_STEPS).any(|_| dns.name_step()).then_some(())?;
    let question = dns.end_name()?;
    for _ in 0..RECORD_STEPS {
        match dns.record_step() {
            Found::Nothing => {}
            Found::Address(addr, ttl_secs) => each(addr, ttl_secs),
            Found::End => break,
            Found::Last(addr, ttl_secs) => {
                each(addr, ttl_secs);
                break;
            }
        }
    }
    Some((header, question))
}

#[cfg(test)]
mod tests;
