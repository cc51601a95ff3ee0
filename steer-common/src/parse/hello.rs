//! The first bytes of a connection, collected over segments, and what is read from them: the name
//! of the host that is wanted.
//!
//! A reader feeds segments in order, then drives `step` until it stops, at most [`STEPS`] times.
//! What was accepted may be sent again, but not otherwise. All state is in map memory.

use core::ptr::read_volatile;

use super::{http, reversed::Reversed, tls};
use crate::{
    addr::Peer,
    egress::{Check, FlowKey},
    reason::Reason,
};

/// Bytes that are looked at.
pub const HELLO_MAX: usize = 8_192;

/// The same, as offsets count.
#[expect(clippy::cast_possible_truncation, reason = "8,192")]
const MAX: u32 = HELLO_MAX as u32;

/// Bytes of a request or a hello, and its end.
pub const STEPS: u32 = MAX + 1;

/// How many bytes are fed at a time.
pub const CHUNK: usize = 16;

/// A row of HELLOS: the first bytes of one connection, as long as no later one needs the row.
#[repr(C)]
pub struct Hello {
    /// Not 0 while somebody works with the row.
    pub busy: u64,
    /// Whose bytes they are.
    pub owner: FlowKey,
    /// How many bytes were sent in a row.
    pub(super) seen: u32,
    /// Where the segment begins that is being fed.
    offset: u32,
    /// The bytes.
    pub(super) bytes: [u8; HELLO_MAX],
    /// The name.
    pub name: Reversed,
    /// The byte to read next.
    pub(super) pos: u32,
    /// What is being read; 0 at the beginning.
    pub(super) phase: u32,
    /// TLS: kind of an extension, then its size. HTTP: bytes of what is being read.
    pub(super) end: u32,
    /// TLS: the part of a number that was read. HTTP: the name of a header in one word.
    pub(super) word: u32,
    /// TLS: bytes left of what is being read. HTTP: how many Host headers there were.
    pub(super) left: u32,
    /// TLS: bytes to skip before it.
    pub(super) skip: u32,
    /// TLS: bytes left of the record.
    pub(super) record: u32,
    /// TLS: bytes left of the hello.
    pub(super) message: u32,
    /// `OPEN`, `NAMED`, or the number of a reason.
    pub(super) outcome: u32,
    /// TLS: not 0 if the name is hidden.
    pub(super) hidden: u32,
    /// Not 0 once bytes were sent otherwise than before.
    pub(super) conflict: u32,
    /// HTTP: hashes of the host in the request line, if it has one, and in the header.
    pub(super) line_host: u64,
    pub(super) header_host: u64,
}

const OPEN: u32 = 0;
const NAMED: u32 = u32::MAX;

/// What the first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Not all is there yet.
    Pending,
    /// A name, which is in the row; so many bytes may not be sent otherwise again.
    Name(u32),
    /// Nothing that could be allowed; the number of the reason.
    Refused(u32),
}

impl Hello {
    /// Room for first bytes.
    pub const fn new() -> Self {
        let nobody = Peer::new(
            crate::addr::Addr::from_words([0; 4]),
            crate::addr::Port::new(0),
        );
        Self {
            busy: 0,
            owner: FlowKey::connection(nobody, nobody, 0),
            seen: 0,
            offset: 0,
            bytes: [0; HELLO_MAX],
            name: Reversed::new(),
            pos: 0,
            phase: 0,
            end: 0,
            word: 0,
            left: 0,
            skip: 0,
            record: 0,
            message: 0,
            outcome: 0,
            hidden: 0,
            conflict: 0,
            line_host: 0,
            header_host: 0,
        }
    }

    /// Starts with the first bytes of a connection.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.seen = 0;
        self.name.clear();
        self.pos = 0;
        self.phase = 0;
        self.end = 0;
        self.word = 0;
        self.left = 0;
        self.skip = 0;
        self.record = 0;
        self.message = 0;
        self.outcome = OPEN;
        self.hidden = 0;
        self.conflict = 0;
        self.line_host = 0;
        self.header_host = 0;
    }

    /// How many bytes were sent in a row.
    #[inline(always)]
    pub const fn seen(&self) -> u32 {
        self.seen
    }

    /// Before the bytes of a segment are fed that begins at `offset`; false if it does not follow
    /// what was seen.
    #[inline(always)]
    pub const fn expects(&mut self, offset: u32) -> bool {
        self.conflict = 0;
        self.offset = offset;
        offset <= self.seen
    }

    /// Takes `count` bytes, at most `CHUNK`, which stand at `at` of the segment: compares what was
    /// seen, keeps the rest. Bytes beyond those that are looked at are ignored.
    #[inline(always)]
    pub fn feed(&mut self, chunk: &[u8; CHUNK], count: u32, at: u32) {
        let seen = self.seen;
        let at = self.offset.wrapping_add(at);
        let mut index = 0;
        while index < CHUNK {
            #[expect(clippy::cast_possible_truncation, reason = "16 at most")]
            let number = index as u32;
            let place = at.wrapping_add(number);
            if number < count && place < MAX {
                let slot = &mut self.bytes[place as usize & (HELLO_MAX - 1)];
                if place >= seen {
                    *slot = chunk[index];
                } else if *slot != chunk[index] {
                    self.conflict = 1;
                }
            }
            index += 1;
        }
    }

    /// The segment could not be read.
    #[inline(always)]
    pub const fn spoil(&mut self) {
        self.conflict = 1;
    }

    /// After the bytes of a segment of `len` bytes; false if some were sent otherwise before.
    #[inline(always)]
    pub const fn fed(&mut self, len: u32) -> bool {
        if self.conflict != 0 {
            return false;
        }
        let mut end = self.offset.wrapping_add(len);
        if end > MAX {
            end = MAX;
        }
        if end > self.seen {
            self.seen = end;
        }
        true
    }

    /// Reads on; true when it cannot go further.
    #[inline(always)]
    pub fn step(&mut self, check: Check) -> bool {
        match check {
            Check::Host => http::step(self),
            Check::Sni | Check::Address => tls::step(self),
        }
    }

    /// What was read.
    #[inline(always)]
    pub const fn said(&self) -> Said {
        match self.outcome {
            // More bytes than are looked at, and no end.
            OPEN if self.seen >= MAX => Said::Refused(Reason::HelloTooLong.index()),
            OPEN => Said::Pending,
            NAMED => Said::Name(self.pos),
            reason => Said::Refused(reason),
        }
    }

    #[inline(always)]
    pub(super) fn byte(&self, at: u32) -> u32 {
        // Volatile, for LLVM drops the mask where a test before it says the same, and Linux 6.12 does
        // not see that: "R3 max value is outside of the allowed memory range".
        // SAFETY: a local.
        let at = unsafe { read_volatile(&raw const at) };
        u32::from(self.bytes[at as usize & (HELLO_MAX - 1)])
    }

    #[inline(always)]
    pub(super) fn pair(&self, at: u32) -> u32 {
        self.byte(at) << 8 | self.byte(at.wrapping_add(1))
    }

    #[inline(always)]
    pub(super) const fn refuse(&mut self, reason: Reason) -> bool {
        self.outcome = reason.index();
        true
    }

    /// The name is there; the hello ends before `end`.
    #[inline(always)]
    pub(super) const fn named(&mut self, end: u32) -> bool {
        self.pos = end;
        self.outcome = NAMED;
        true
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes one segment, as the kernel does; None if it is out of order, or says something else than
/// before. For tests.
pub fn take(hello: &mut Hello, check: Check, offset: u32, segment: &[u8]) -> Option<Said> {
    if !hello.expects(offset) {
        return None;
    }
    let mut at = 0_u32;
    for part in segment.chunks(CHUNK) {
        let mut chunk = [0; CHUNK];
        chunk[..part.len()].copy_from_slice(part);
        hello.feed(&chunk, u32::try_from(part.len()).ok()?, at);
        at = at.checked_add(u32::try_from(part.len()).ok()?)?;
    }
    if !hello.fed(u32::try_from(segment.len()).ok()?) {
        return None;
    }
    let _done = (0..STEPS).any(|_| hello.step(check));
    Some(hello.said())
}

const _: () = assert!(HELLO_MAX.is_power_of_two());

#[cfg(test)]
mod tests;
