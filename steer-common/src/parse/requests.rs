//! How many requests begin in what a segment carries: the head of one of HTTP/1, or the HEADERS frames
//! of HTTP/2.
//!
//! An estimate, for telling whether shares of requests are as the weights say. Clients write a head, or
//! whole frames, at once, and so a segment begins with one. What begins elsewhere is not counted: a
//! request behind another one in a segment (HTTP/1 pipelining), or one that is cut into pieces of less
//! than eight bytes.

use super::packet::Bytes;

/// How many frames of a segment are looked at: as many streams as servers usually let begin at once.
pub const FRAMES_MAX: u32 = 128;

/// The longest frame (RFC 9113, `SETTINGS_MAX_FRAME_SIZE`, its initial value).
const FRAME_MAX: u32 = 16_384;
/// How long the head of a frame is (RFC 9113, 4.1).
const FRAME_HEAD: u32 = 9;
/// How long a client's preface is (RFC 9113, 3.4).
const PREFACE: u32 = 24;

/// A text of up to eight bytes, as the first word of a segment.
#[derive(Clone, Copy)]
struct Start {
    word: u64,
    mask: u64,
}

impl Start {
    const fn new(text: &[u8]) -> Self {
        let (mut word, mut mask, mut index) = (0, 0, 0);
        while index < text.len() {
            let shift = 56 - 8 * index;
            word |= (text[index] as u64) << shift;
            mask |= 0xff << shift;
            index += 1;
        }
        Self { word, mask }
    }

    #[inline(always)]
    const fn begins(self, word: u64) -> bool {
        word & self.mask == self.word
    }
}

/// What requests of HTTP/1 begin with (RFC 9110, RFC 5789).
pub const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"PATCH ",
    b"OPTIONS ",
    b"TRACE ",
    b"CONNECT ",
];
/// The same, as first words.
const STARTS: [Start; METHODS.len()] = starts();
/// What a client's preface of HTTP/2 begins with.
const HTTP2: Start = Start::new(b"PRI * HT");

const fn starts() -> [Start; METHODS.len()] {
    let mut starts = [Start::new(b""); METHODS.len()];
    let mut index = 0;
    while index < METHODS.len() {
        starts[index] = Start::new(METHODS[index]);
        index += 1;
    }
    starts
}

/// How far a segment was looked through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    /// Where the next frame begins.
    at: u32,
    /// Where the segment ends.
    end: u32,
    /// How many requests began.
    pub requests: u32,
}

impl Walk {
    /// Looks at how the segment from `at` to `end` begins.
    #[inline(always)]
    pub fn new<B: Bytes>(bytes: &B, at: u32, end: u32) -> Self {
        let mut this = Self {
            at,
            end,
            requests: 0,
        };
        let mut words = [0; 2];
        if end.saturating_sub(at) < 8 || !bytes.words(at, &mut words) {
            this.end = at;
            return this;
        }
        let first = u64::from(u32::from_be(words[0])) << 32 | u64::from(u32::from_be(words[1]));
        if HTTP2.begins(first) {
            this.at = at.wrapping_add(PREFACE);
        } else if is_request(first) {
            this.requests = 1;
            this.end = at;
        }
        this
    }

    /// Whether frames may follow.
    #[inline(always)]
    pub const fn has_frames(&self) -> bool {
        self.at < self.end
    }

    /// Looks at the next frame; true when there is none.
    #[inline(always)]
    pub fn step<B: Bytes>(&mut self, bytes: &B) -> bool {
        let mut words = [0; 3];
        if self.at.wrapping_add(12) > self.end || !bytes.words(self.at, &mut words) {
            return true;
        }
        let Some(frame) = Frame::new(words) else {
            return true;
        };
        self.requests += u32::from(frame.begins_request());
        self.at = self.at.wrapping_add(FRAME_HEAD + frame.length);
        false
    }
}

#[inline(always)]
fn is_request(first: u64) -> bool {
    let mut index = 0;
    while index < STARTS.len() {
        if STARTS[index].begins(first) {
            return true;
        }
        index += 1;
    }
    false
}

/// The head of a frame of HTTP/2.
struct Frame {
    length: u32,
    kind: u32,
    stream: u32,
}

impl Frame {
    const DATA: u32 = 0;
    const HEADERS: u32 = 1;
    /// The last kind that RFC 9113 knows.
    const CONTINUATION: u32 = 9;

    /// None if it is no frame that a client sends.
    #[inline(always)]
    fn new(words: [u32; 3]) -> Option<Self> {
        let first = u32::from_be(words[0]);
        let second = u32::from_be(words[1]);
        let third = u32::from_be(words[2]);
        let frame = Self {
            length: first >> 8,
            kind: first & 0xff,
            stream: second << 8 | third >> 24,
        };
        let flags = second >> 24;
        // Stream numbers have 31 bits; those that clients open are odd, and 0 is the connection.
        let of_client = frame.stream >> 31 == 0 && (frame.stream == 0 || frame.stream & 1 == 1);
        let of_stream = frame.kind > Self::HEADERS || frame.stream != 0;
        // PADDED, PRIORITY, END_HEADERS, END_STREAM.
        let known =
            frame.length <= FRAME_MAX && frame.kind <= Self::CONTINUATION && flags & !0x2d == 0;
        (known && of_client && of_stream).then_some(frame)
    }

    #[inline(always)]
    const fn begins_request(&self) -> bool {
        self.kind == Self::HEADERS
    }
}

const _: () = assert!(Frame::DATA < Frame::HEADERS, "both are of a stream");

#[cfg(test)]
mod tests;
