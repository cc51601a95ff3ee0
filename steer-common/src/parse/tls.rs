//! A TLS `ClientHello`: its server name.
//!
//! Strict: one record holds the hello and nothing else, one extension holds one name. What a lenient
//! server would read otherwise is refused.

use super::{hello::Hello, reversed::NAME_LEN_MAX};
use crate::reason::Reason;

const START: u32 = 0;
const EXTENSIONS: u32 = 1;
const NAME: u32 = 2;

const HANDSHAKE: u32 = 22;
const CLIENT_HELLO: u32 = 1;
const SERVER_NAME: u32 = 0;
const HOST_NAME: u32 = 0;
/// Encrypted client hello, and what it was called before.
const HIDDEN: [u32; 2] = [0xfe0d, 0xffce];

/// Record and handshake header, version, random.
const SESSION: u32 = 5 + 4 + 2 + 32;

/// Reads on; true when it cannot go further.
#[inline(always)]
pub(super) fn step(hello: &mut Hello) -> bool {
    match hello.phase {
        START => start(hello),
        EXTENSIONS => extension(hello),
        NAME => name(hello),
        _ => true,
    }
}

/// Waits for the whole hello, and finds its extensions.
#[inline(always)]
fn start(hello: &mut Hello) -> bool {
    let seen = hello.seen;
    if seen >= 1 && hello.byte(0) != HANDSHAKE || seen >= 2 && hello.byte(1) != 3 {
        return hello.refuse(Reason::HelloOther);
    }
    if seen < 9 {
        return true;
    }
    let record = hello.pair(3);
    let message = hello.byte(6) << 16 | hello.pair(7);
    if hello.byte(5) != CLIENT_HELLO || message + 4 != record {
        return hello.refuse(Reason::HelloOther);
    }
    let end = record + 5;
    if end as usize > super::hello::HELLO_MAX {
        return hello.refuse(Reason::HelloTooLong);
    }
    if seen < end {
        return true;
    }
    // Each length is bounded by its field; what is read beyond the end is found out below.
    let ciphers = SESSION + 1 + hello.byte(SESSION);
    let compression = ciphers + 2 + hello.pair(ciphers);
    let extensions = compression + 1 + hello.byte(compression);
    if extensions == end {
        return hello.refuse(Reason::HelloNoName);
    }
    if extensions + 2 > end || extensions + 2 + hello.pair(extensions) != end {
        return hello.refuse(Reason::HelloOther);
    }
    hello.pos = extensions + 2;
    hello.end = end;
    hello.phase = EXTENSIONS;
    false
}

#[inline(always)]
fn extension(hello: &mut Hello) -> bool {
    let (pos, end) = (hello.pos, hello.end);
    if pos == end {
        if hello.hidden != 0 {
            return hello.refuse(Reason::HelloEncrypted);
        }
        if hello.word == 0 {
            return hello.refuse(Reason::HelloNoName);
        }
        hello.pos = hello.word;
        hello.phase = NAME;
        return false;
    }
    let body = pos + 4;
    if body > end {
        return hello.refuse(Reason::HelloOther);
    }
    let (kind, length) = (hello.pair(pos), hello.pair(pos + 2));
    if length > end - body {
        return hello.refuse(Reason::HelloOther);
    }
    if kind == HIDDEN[0] || kind == HIDDEN[1] {
        hello.hidden = 1;
    }
    if kind == SERVER_NAME {
        let name = hello.pair(body + 3);
        let one = length == hello.pair(body) + 2
            && length == name + 5
            && hello.byte(body + 2) == HOST_NAME
            && name >= 1
            && name as usize <= NAME_LEN_MAX;
        if !one || hello.word != 0 {
            return hello.refuse(Reason::HelloOther);
        }
        hello.word = body + 5;
        hello.left = name;
    }
    hello.pos = body + length;
    false
}

#[inline(always)]
fn name(hello: &mut Hello) -> bool {
    let pos = hello.pos;
    if hello.left == 0 {
        return hello.named(hello.end);
    }
    hello.left -= 1;
    hello.pos = pos.wrapping_add(1);
    #[expect(clippy::cast_possible_truncation, reason = "one byte")]
    if hello.name.put(hello.byte(pos) as u8) {
        return false;
    }
    hello.refuse(Reason::HelloNotListed)
}
