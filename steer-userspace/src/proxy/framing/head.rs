//! The head of a request, and single fields: what they say of the bytes that follow.

/// The request line by which HTTP/2 begins.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// What a head says of what follows it.
pub(super) struct Follows {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) then_open: bool,
}

pub(super) fn has_bare_newline(text: &[u8]) -> bool {
    let before = std::iter::once(&0).chain(text);
    text.iter()
        .zip(before)
        .any(|(&byte, &before)| byte == b'\n' && before != b'\r')
}

/// What a head says; `None` if it may be understood in two ways.
pub(super) fn follows(head: &[u8]) -> Option<Follows> {
    if has_bare_newline(head) {
        return None;
    }
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let mut lines = text
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next()?;
    let mut follows = Follows {
        length: None,
        chunked: false,
        then_open: request == HTTP2 || request.starts_with(b"CONNECT "),
    };
    let (mut upgrade, mut agreed) = (false, false);
    for line in lines {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if follows.length.is_some() {
                return None;
            }
            follows.length = Some(number(value, 10)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if follows.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            follows.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            // HTTP/2 after an upgrade is not offered: see `headers::upgrade`.
            let mut words = value.split(|&byte| byte == b',').map(trim);
            upgrade |= words.any(|word| !word.is_empty() && !word.eq_ignore_ascii_case(b"h2c"));
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut words = value.split(|&byte| byte == b',').map(trim);
            agreed |= words.any(|word| word.eq_ignore_ascii_case(b"upgrade"));
        }
    }
    let twice = follows.chunked && follows.length.is_some();
    let too_old = follows.chunked && !request.ends_with(b"HTTP/1.1");
    follows.then_open |= upgrade && agreed;
    (!twice && !too_old).then_some(follows)
}

/// The name and the value of a field. `None` for a carriage return alone, a line that goes on with the one
/// before, and a name that is none or ends in a blank.
pub(super) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.contains(&b'\r') || line.first().is_none_or(|&byte| is_blank(byte)) {
        return None;
    }
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (line.get(..colon)?, trim(line.get(colon + 1..)?));
    let is_name = !name.is_empty() && !name.iter().any(|&byte| is_blank(byte));
    is_name.then_some((name, value))
}

/// Digits and nothing else.
pub(super) fn number(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(text, radix).ok())?
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_blank(byte));
    let end = text.iter().rposition(|&byte| !is_blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => text.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}
