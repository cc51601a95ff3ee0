//! The head of the first HTTP/1 request: its host.
//!
//! Strict: lines end with CR and LF, no line is folded, one Host header, and where the request line
//! names a host too it is the same. What a lenient server would read otherwise is refused.

use super::{hello::Hello, packet::mix};
use crate::reason::Reason;

const METHOD: u32 = 0;
const TARGET_FIRST: u32 = 1;
/// A path: no host.
const PATH: u32 = 2;
/// A host, a scheme, or a host and its port.
const AUTHORITY: u32 = 3;
/// Behind the colon of either.
const AUTHORITY_COLON: u32 = 4;
/// Behind the first slash of a scheme.
const AUTHORITY_SLASH: u32 = 5;
const VERSION: u32 = 6;
const LINE_END: u32 = 7;
const HEADER_FIRST: u32 = 8;
const HEADER: u32 = 9;
const VALUE: u32 = 10;
const HOST_FIRST: u32 = 11;
const HOST: u32 = 12;
const HOST_PORT: u32 = 13;
/// Blanks behind a host.
const HOST_END: u32 = 14;
const HEAD_END: u32 = 15;

/// `host`, in one word.
const HOST_WORD: u32 = u32::from_be_bytes(*b"host");
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Reads one byte; true when it cannot go further.
#[inline(always)]
pub(super) fn step(hello: &mut Hello) -> bool {
    let pos = hello.pos;
    if pos >= hello.seen || hello.outcome != 0 {
        return true;
    }
    #[expect(clippy::cast_possible_truncation, reason = "one byte")]
    let byte = hello.byte(pos) as u8;
    hello.pos = pos + 1;
    match hello.phase {
        METHOD..=VERSION => line(hello, byte),
        LINE_END => expect(hello, byte, b'\n', HEADER_FIRST),
        HEADER_FIRST | HEADER => header(hello, byte),
        VALUE => value(hello, byte),
        HOST_FIRST..=HOST_END => host(hello, byte),
        _ => end(hello, byte),
    }
}

#[inline(always)]
const fn other(hello: &mut Hello) -> bool {
    hello.refuse(Reason::HelloOther)
}

#[inline(always)]
const fn go(hello: &mut Hello, phase: u32) -> bool {
    hello.phase = phase;
    hello.end = 0;
    false
}

#[inline(always)]
const fn expect(hello: &mut Hello, byte: u8, wanted: u8, phase: u32) -> bool {
    if byte == wanted {
        go(hello, phase)
    } else {
        other(hello)
    }
}

/// The request line.
#[inline(always)]
fn line(hello: &mut Hello, byte: u8) -> bool {
    match hello.phase {
        METHOD => {
            if byte == b' ' && hello.end > 0 {
                return go(hello, TARGET_FIRST);
            }
            hello.end += 1;
            // The longest registered method has 16 bytes.
            !(byte.is_ascii_uppercase() || byte == b'-') && other(hello)
                || hello.end > 32 && other(hello)
        }
        VERSION => version(hello, byte),
        _ if byte == b' ' => {
            let empty = hello.phase == TARGET_FIRST;
            if empty {
                other(hello)
            } else {
                go(hello, VERSION)
            }
        }
        _ if byte <= b' ' || byte >= 0x7f => other(hello),
        PATH => false,
        _ => authority(hello, byte),
    }
}

/// Where a request line names a host: a scheme and a host (RFC 9112, section 3.2.2), or a host and
/// a port (3.2.3).
#[inline(always)]
fn authority(hello: &mut Hello, byte: u8) -> bool {
    match (hello.phase, byte) {
        (TARGET_FIRST, b'/' | b'*')
        | (AUTHORITY, b'/' | b'?' | b'#')
        | (AUTHORITY_COLON, b'?' | b'#') => go(hello, PATH),
        (AUTHORITY_COLON, b'/') if hello.word > 0 => go(hello, PATH),
        (AUTHORITY_COLON, b'/') => go(hello, AUTHORITY_SLASH),
        (AUTHORITY_SLASH, b'/') => {
            // What was read is the scheme; one URL has one.
            hello.line_host = SEED;
            hello.word += 1;
            if hello.word > 1 {
                return other(hello);
            }
            go(hello, AUTHORITY)
        }
        (AUTHORITY, b':') => go(hello, AUTHORITY_COLON),
        (AUTHORITY_COLON, b'0'..=b'9') => false,
        // Whose name stands behind a sign like these, some servers read otherwise than others.
        (AUTHORITY_COLON | AUTHORITY_SLASH, _) | (_, b'@' | b'[' | b'\\') => other(hello),
        _ => {
            if hello.phase == TARGET_FIRST {
                hello.line_host = SEED;
                hello.word = 0;
            }
            hello.line_host = mix(hello.line_host ^ u64::from(byte.to_ascii_lowercase()));
            hello.phase = AUTHORITY;
            false
        }
    }
}

#[inline(always)]
fn version(hello: &mut Hello, byte: u8) -> bool {
    let at = hello.end;
    hello.end = at + 1;
    let fits = match at {
        0 => byte == b'H',
        1 | 2 => byte == b'T',
        3 => byte == b'P',
        4 => byte == b'/',
        // The preface of HTTP/2 begins as a request would.
        5 if byte == b'2' => return hello.refuse(Reason::HelloHttp2),
        5 => byte == b'1',
        6 => byte == b'.',
        7 => byte == b'0' || byte == b'1',
        _ => return expect(hello, byte, b'\r', LINE_END),
    };
    !fits && other(hello)
}

/// The name of a header.
#[inline(always)]
fn header(hello: &mut Hello, byte: u8) -> bool {
    let first = hello.phase == HEADER_FIRST;
    if first && byte == b'\r' {
        return go(hello, HEAD_END);
    }
    if byte == b':' && !first {
        let is_host = hello.end == 4 && hello.word == HOST_WORD;
        if !is_host {
            return go(hello, VALUE);
        }
        hello.left += 1;
        hello.header_host = SEED;
        return hello.left > 1 && other(hello) || go(hello, HOST_FIRST);
    }
    // Blanks among them: a folded line, or a blank before the colon.
    let token = byte.is_ascii_alphanumeric() || is_mark(byte);
    if !token {
        return other(hello);
    }
    let word = if first { 0 } else { hello.word };
    hello.word = word << 8 | u32::from(byte | 0x20);
    hello.end += 1;
    hello.phase = HEADER;
    false
}

#[inline(always)]
const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[inline(always)]
fn value(hello: &mut Hello, byte: u8) -> bool {
    match byte {
        b'\r' => go(hello, LINE_END),
        b'\t' | 0x20..=0x7e | 0x80.. => false,
        _ => other(hello),
    }
}

/// The value of Host.
#[inline(always)]
fn host(hello: &mut Hello, byte: u8) -> bool {
    match (hello.phase, byte) {
        (_, b'\r') => go(hello, LINE_END),
        (HOST_FIRST, b' ' | b'\t') | (HOST_PORT, b'0'..=b'9') => false,
        (_, b' ' | b'\t') => go(hello, HOST_END),
        (HOST_FIRST | HOST, b':') => go(hello, HOST_PORT),
        (HOST_FIRST | HOST, _) => {
            hello.header_host = mix(hello.header_host ^ u64::from(byte.to_ascii_lowercase()));
            hello.phase = HOST;
            !hello.name.put(byte) && hello.refuse(Reason::HelloNotListed)
        }
        _ => other(hello),
    }
}

/// The end of the head.
#[inline(always)]
fn end(hello: &mut Hello, byte: u8) -> bool {
    if byte != b'\n' {
        return other(hello);
    }
    if hello.name.is_empty() {
        return hello.refuse(Reason::HelloNoName);
    }
    if hello.line_host != 0 && hello.line_host != hello.header_host {
        return other(hello);
    }
    hello.named(hello.pos)
}
