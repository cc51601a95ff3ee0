//! Where requests of HTTP/1 begin and end, read strictly: what two readers could understand in two
//! ways is refused before anybody acts on it. Bytes in, bytes out; no I/O.

mod head;

use head::{Follows, field, follows, has_bare_newline, number};

/// The largest head that is read.
const HEAD_MAX: usize = 64 * 1024;
/// The longest line of a chunk's size.
const LINE_MAX: usize = 1024;
/// No request begins so: whoever reads it answers 400 and closes.
const NONSENSE: &[u8] = b"\0\r\n\r\n";
/// No request has as many fields: whoever reads it answers 431 and closes.
const FIELDS: usize = 1000;

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

    fn refuse(&mut self) {
        self.held.clear();
        self.state = State::Refused;
    }

    fn refuse_head(&mut self, out: &mut Vec<u8>, too_long: bool) {
        if too_long {
            out.extend_from_slice(b"GET / HTTP/1.1\r\n");
            out.extend_from_slice(&b"a:\r\n".repeat(FIELDS));
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(NONSENSE);
        }
        self.refuse();
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
            let too_long = self.held.len() > HEAD_MAX;
            if too_long || has_bare_newline(&self.held) {
                self.refuse_head(out, too_long);
            }
            return input.len();
        };
        if end > HEAD_MAX {
            self.refuse_head(out, true);
            return input.len();
        }
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
            None => self.refuse_head(out, false),
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
                self.refuse();
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
            Line::Whole(_) | Line::Wrong => self.refuse(),
            Line::Begun => {}
        }
        used
    }

    fn trailer(&mut self, input: &[u8], out: &mut Vec<u8>, then_open: bool) -> usize {
        let (line, used) = self.line(input);
        match line {
            Line::Whole(line) => match trailer(&line) {
                Some(is_last) => {
                    out.extend_from_slice(&line);
                    if is_last {
                        self.state = after(then_open);
                    }
                }
                None => self.refuse(),
            },
            Line::Wrong => self.refuse(),
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

fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let is_text = |&byte: &u8| byte == b'\t' || !byte.is_ascii_control();
    if !line.iter().all(is_text) {
        return None;
    }
    let digits = line.split(|&byte| byte == b';').next()?;
    number(digits, 16)
}

/// Whether a line after the last chunk is the last one; `None` if it may not be there.
fn trailer(line: &[u8]) -> Option<bool> {
    const OF_HEADS: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    let line = line.strip_suffix(b"\r\n")?;
    if line.is_empty() {
        return Some(true);
    }
    let (name, _) = field(line)?;
    let misplaced = OF_HEADS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    (!misplaced).then_some(false)
}

#[cfg(test)]
mod tests;
