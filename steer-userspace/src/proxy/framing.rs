//! Where requests of HTTP/1 begin and end, read strictly: what two readers could understand in two
//! ways is refused before anybody acts on it. Bytes in, bytes out; no I/O.

/// The largest head that is read.
const HEAD_MAX: usize = 64 * 1024;
/// The longest line of a chunk's size.
const LINE_MAX: usize = 1024;
/// No request begins so: whoever reads it answers 400 and closes.
const NONSENSE: &[u8] = b"\0\r\n\r\n";
/// The request line by which HTTP/2 begins.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// Follows one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The head, or the line, that is not whole yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// A head, or what comes of it.
    #[default]
    Head,
    /// So many bytes of a body.
    Body { left: u64, then_open: bool },
    /// The line with a chunk's size.
    Size { then_open: bool },
    /// So many bytes of a chunk, and the end of its line.
    Chunk { left: u64, then_open: bool },
    /// The lines after the last chunk.
    Trailers { then_open: bool },
    /// HTTP/2, or another protocol that was agreed on: all passes.
    Open,
    /// It was refused: nothing passes any more.
    Refused,
}

/// A line of chunks, as far as it has come.
enum Line {
    Begun,
    Whole(Vec<u8>),
    /// None that may be.
    Wrong,
}

/// What a head says of what follows it.
struct Follows {
    length: Option<u64>,
    chunked: bool,
    then_open: bool,
}

impl Framing {
    /// Whether nothing passes any more.
    pub(super) fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    /// Takes what came, and puts into `out` what may be read.
    pub(super) fn take(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            let used = match self.state {
                State::Head => self.head(input, out),
                State::Body { left, then_open } => {
                    let used = pass(input, left, out);
                    let left = left - used as u64;
                    self.state = match left {
                        0 => after(then_open),
                        _ => State::Body { left, then_open },
                    };
                    used
                }
                State::Size { then_open } => self.size(input, out, then_open),
                State::Chunk { left, then_open } => self.chunk(input, out, left, then_open),
                State::Trailers { then_open } => self.trailer(input, out, then_open),
                State::Open => {
                    out.extend_from_slice(input);
                    input.len()
                }
                State::Refused => return,
            };
            input = input.get(used..).unwrap_or_default();
        }
    }

    fn refuse(&mut self, out: &mut Vec<u8>, say_so: bool) {
        self.held.clear();
        if say_so {
            out.extend_from_slice(NONSENSE);
        }
        self.state = State::Refused;
    }

    fn head(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let seen = self.held.len().saturating_sub(3);
        self.held.extend_from_slice(input);
        // Empty lines before a request are let be.
        let blank = self
            .held
            .iter()
            .take_while(|&&byte| matches!(byte, b'\r' | b'\n'));
        let blank = blank.count();
        if blank > 0 {
            self.held.drain(..blank);
        }
        let from = seen.saturating_sub(blank);
        let rest = self.held.get(from..).unwrap_or_default();
        let Some(end) = find(rest, b"\r\n\r\n").map(|at| from + at + 4) else {
            if self.held.len() > HEAD_MAX || has_bare_newline(&self.held) {
                self.refuse(out, true);
            }
            return input.len();
        };
        let beyond = self.held.split_off(end);
        let head = std::mem::take(&mut self.held);
        match follows(&head) {
            Some(follows) => {
                out.extend_from_slice(&head);
                self.state = match follows {
                    Follows {
                        chunked: true,
                        then_open,
                        ..
                    } => State::Size { then_open },
                    Follows {
                        length: Some(left),
                        then_open,
                        ..
                    } if left > 0 => State::Body { left, then_open },
                    Follows { then_open, .. } => after(then_open),
                };
            }
            None => self.refuse(out, true),
        }
        input.len() - beyond.len()
    }

    fn size(&mut self, input: &[u8], out: &mut Vec<u8>, then_open: bool) -> usize {
        let (line, used) = self.line(input);
        let line = match line {
            Line::Begun => return used,
            Line::Whole(line) => line,
            Line::Wrong => Vec::new(),
        };
        self.state = match chunk_size(&line) {
            Some(0) => State::Trailers { then_open },
            Some(left) => State::Chunk { left, then_open },
            None => {
                self.refuse(out, false);
                return used;
            }
        };
        out.extend_from_slice(&line);
        used
    }

    fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>, left: u64, then_open: bool) -> usize {
        if left > 0 {
            let used = pass(input, left, out);
            self.state = State::Chunk {
                left: left - used as u64,
                then_open,
            };
            return used;
        }
        let (line, used) = self.line(input);
        match line {
            Line::Whole(line) if line == b"\r\n" => {
                out.extend_from_slice(&line);
                self.state = State::Size { then_open };
            }
            Line::Whole(_) | Line::Wrong => self.refuse(out, false),
            Line::Begun => {}
        }
        used
    }

    fn trailer(&mut self, input: &[u8], out: &mut Vec<u8>, then_open: bool) -> usize {
        let (line, used) = self.line(input);
        match line {
            Line::Whole(line) => {
                out.extend_from_slice(&line);
                if line == b"\r\n" {
                    self.state = after(then_open);
                }
            }
            Line::Wrong => self.refuse(out, false),
            Line::Begun => {}
        }
        used
    }

    /// The next line, and how much of the input belongs to it.
    fn line(&mut self, input: &[u8]) -> (Line, usize) {
        let end = input.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(input.len(), |at| at + 1);
        self.held
            .extend_from_slice(input.get(..used).unwrap_or_default());
        if self.held.len() > LINE_MAX {
            return (Line::Wrong, used);
        }
        if end.is_none() {
            return (Line::Begun, used);
        }
        let line = std::mem::take(&mut self.held);
        if line.ends_with(b"\r\n") {
            (Line::Whole(line), used)
        } else {
            (Line::Wrong, used)
        }
    }
}

fn after(then_open: bool) -> State {
    if then_open { State::Open } else { State::Head }
}

fn pass(input: &[u8], left: u64, out: &mut Vec<u8>) -> usize {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    out.extend_from_slice(input.get(..most).unwrap_or_default());
    most
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|found| found == wanted)
}

fn has_bare_newline(text: &[u8]) -> bool {
    let before = std::iter::once(&0).chain(text);
    text.iter()
        .zip(before)
        .any(|(&byte, &before)| byte == b'\n' && before != b'\r')
}

/// What a head says; `None` if it may be understood in two ways.
fn follows(head: &[u8]) -> Option<Follows> {
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
        // A carriage return alone, a line that goes on with the one before, a name that ends in a blank.
        if line.contains(&b'\r') || line.first().is_none_or(|&byte| is_blank(byte)) {
            return None;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (line.get(..colon)?, trim(line.get(colon + 1..)?));
        if name.is_empty() || name.iter().any(|&byte| is_blank(byte)) {
            return None;
        }
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
            upgrade = true;
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

fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line.split(|&byte| byte == b';').next()?;
    number(trim(digits), 16)
}

/// Digits and nothing else.
fn number(text: &[u8], radix: u32) -> Option<u64> {
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

#[cfg(test)]
mod tests;
