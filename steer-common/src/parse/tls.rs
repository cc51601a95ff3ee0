//! A TLS `ClientHello`: its server name (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3).
//!
//! Read byte by byte as it comes, through however many records it is cut into. Strict: the records
//! hold the hello and nothing else, one extension holds one name. What a lenient server would read
//! otherwise is refused.

use super::{
    hello::{HELLO_MAX, Hello},
    reversed::NAME_LEN_MAX,
};
use crate::reason::Reason;

// What is being read: a number, but for NAME. The first is where a hello begins.
const KIND: u32 = 0;
const LENGTH: u32 = 1;
const SESSION: u32 = 2;
const CIPHERS: u32 = 3;
const COMPRESSION: u32 = 4;
const EXTENSIONS: u32 = 5;
const EXTENSION: u32 = 6;
const SIZE: u32 = 7;
const NAMES: u32 = 8;
const NAME_KIND: u32 = 9;
const NAME_SIZE: u32 = 10;
const NAME: u32 = 11;
const END: u32 = 12;

const HANDSHAKE: u32 = 22;
const RECORD_HEADER: u32 = 5;
const RECORD_MAX: u32 = 1 << 14;
const CLIENT_HELLO: u32 = 1;
/// Version and random.
const FIXED: u32 = 2 + 32;
const SERVER_NAME: u32 = 0;
const HOST_NAME: u32 = 0;
/// Encrypted client hello, and what it was called before.
const HIDDEN: [u32; 2] = [0xfe0d, 0xffce];

/// Reads on; true when it cannot go further.
#[inline(always)]
pub(super) fn step(hello: &mut Hello) -> bool {
    if hello.phase == END && hello.skip == 0 {
        return finish(hello);
    }
    if hello.pos >= hello.seen {
        return true;
    }
    if hello.record == 0 {
        return record(hello);
    }
    if hello.skip > 0 {
        let some = hello.skip.min(hello.record).min(hello.seen - hello.pos);
        hello.skip -= some;
        advance(hello, some);
        return false;
    }
    let byte = hello.byte(hello.pos);
    advance(hello, 1);
    hello.left = hello.left.wrapping_sub(1);
    if hello.phase == NAME {
        return name(hello, byte);
    }
    let number = hello.word << 8 | byte;
    hello.word = number;
    if hello.phase == KIND {
        return kind(hello, number);
    }
    if hello.left > 0 {
        return false;
    }
    hello.word = 0;
    after(hello, number)
}

/// The header of a record. What is not one is refused by its first byte.
#[inline(always)]
fn record(hello: &mut Hello) -> bool {
    let (pos, there) = (hello.pos, hello.seen - hello.pos);
    if hello.byte(pos) != HANDSHAKE || there >= 2 && hello.byte(pos + 1) != 3 {
        return hello.refuse(Reason::HelloOther);
    }
    if there < RECORD_HEADER {
        return true;
    }
    let length = hello.pair(pos + 3);
    if length == 0 || length > RECORD_MAX {
        return hello.refuse(Reason::HelloOther);
    }
    hello.record = length;
    hello.pos = pos + RECORD_HEADER;
    false
}

#[inline(always)]
const fn advance(hello: &mut Hello, bytes: u32) {
    hello.pos = hello.pos.wrapping_add(bytes);
    hello.record = hello.record.wrapping_sub(bytes);
    hello.message = hello.message.wrapping_sub(bytes);
}

#[inline(always)]
fn kind(hello: &mut Hello, number: u32) -> bool {
    if number != CLIENT_HELLO {
        return hello.refuse(Reason::HelloOther);
    }
    hello.word = 0;
    hello.phase = LENGTH;
    hello.left = 3;
    false
}

/// A number is whole: what follows it.
#[inline(always)]
fn after(hello: &mut Hello, number: u32) -> bool {
    match hello.phase {
        LENGTH => {
            hello.message = number;
            if number as usize + 9 > HELLO_MAX {
                return hello.refuse(Reason::HelloTooLong);
            }
            read(hello, FIXED, SESSION, 1)
        }
        SESSION => read(hello, number, CIPHERS, 2),
        CIPHERS => read(hello, number, COMPRESSION, 1),
        // Extensions may be missing.
        COMPRESSION if hello.message == number => hello.refuse(Reason::HelloNoName),
        COMPRESSION => read(hello, number, EXTENSIONS, 2),
        EXTENSIONS if hello.message == number => extension(hello, 0),
        EXTENSION => {
            if number == HIDDEN[0] || number == HIDDEN[1] {
                hello.hidden = 1;
            }
            hello.end = number;
            read(hello, 0, SIZE, 2)
        }
        SIZE if hello.end != SERVER_NAME => extension(hello, number),
        SIZE if hello.name.is_empty() => {
            hello.end = number;
            read(hello, 0, NAMES, 2)
        }
        NAMES if number + 2 == hello.end => read(hello, 0, NAME_KIND, 1),
        NAME_KIND if number == HOST_NAME => read(hello, 0, NAME_SIZE, 2),
        NAME_SIZE if number + 5 == hello.end && is_name(number) => read(hello, 0, NAME, number),
        _ => hello.refuse(Reason::HelloOther),
    }
}

#[inline(always)]
const fn is_name(length: u32) -> bool {
    length > 0 && length as usize <= NAME_LEN_MAX
}

/// Goes on with a field of so many bytes, behind others that are skipped.
#[inline(always)]
fn read(hello: &mut Hello, skip: u32, phase: u32, bytes: u32) -> bool {
    if skip + bytes > hello.message {
        return hello.refuse(Reason::HelloOther);
    }
    hello.skip = skip;
    hello.phase = phase;
    hello.left = bytes;
    false
}

/// Goes on with the next extension, if there is one.
#[inline(always)]
fn extension(hello: &mut Hello, skip: u32) -> bool {
    if hello.message != skip {
        return read(hello, skip, EXTENSION, 2);
    }
    hello.skip = skip;
    hello.phase = END;
    false
}

#[inline(always)]
fn name(hello: &mut Hello, byte: u32) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "one byte")]
    if !hello.name.put(byte as u8) {
        return hello.refuse(Reason::HelloNotListed);
    }
    if hello.left > 0 {
        return false;
    }
    extension(hello, 0)
}

/// The hello is whole.
#[inline(always)]
const fn finish(hello: &mut Hello) -> bool {
    if hello.record != 0 {
        return hello.refuse(Reason::HelloOther);
    }
    if hello.hidden != 0 {
        return hello.refuse(Reason::HelloEncrypted);
    }
    if hello.name.is_empty() {
        return hello.refuse(Reason::HelloNoName);
    }
    hello.named(hello.pos)
}
