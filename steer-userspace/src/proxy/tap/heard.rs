//! What was heard of a connection: pieces by their sequence numbers, put together again.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use steer_common::parse::requests::METHODS;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, mpsc::Receiver},
};

/// How HTTP/2 begins (RFC 9113, 3.4).
const HTTP2: &[u8] = b"PRI ";
/// How a record of TLS begins that shakes hands (RFC 8446, 5.1).
const TLS: &[u8] = &[0x16, 0x03];

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Progress {
    /// Where a request begins is not known.
    #[default]
    Lost,
    /// The next byte has this number.
    At(u32),
    /// Nothing of it is copied.
    Deaf,
}

/// What is to be done with a piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// It is of a protocol that is not read.
    Other,
    /// Something before it is missing, and it does not begin a request.
    Missing,
    /// A request begins.
    Begins(Bytes),
    /// It goes on.
    Goes(Bytes),
}

impl Progress {
    /// Takes the piece that begins with the byte of this number.
    pub(super) fn take(&mut self, seq: u32, mut bytes: Bytes) -> Heard {
        let next = match *self {
            Self::Deaf => return Heard::Nothing,
            Self::Lost => return self.begin(seq, bytes),
            Self::At(next) => next,
        };
        // Numbers go round (RFC 9293, 3.4).
        let behind = next.wrapping_sub(seq);
        let ahead = seq.wrapping_sub(next);
        if ahead != 0 && ahead < behind {
            *self = Self::Lost;
            return match self.begin(seq, bytes) {
                Heard::Nothing => Heard::Missing,
                begins => begins,
            };
        }
        // Sent again, the whole or a part of it.
        let again = usize::try_from(behind).unwrap_or(usize::MAX);
        if again >= bytes.len() {
            return Heard::Nothing;
        }
        bytes.advance(again);
        *self = Self::At(next.wrapping_add(length(&bytes)));
        Heard::Goes(bytes)
    }

    fn begin(&mut self, seq: u32, bytes: Bytes) -> Heard {
        if bytes.starts_with(TLS) || bytes.starts_with(HTTP2) {
            *self = Self::Deaf;
            return Heard::Other;
        }
        if !METHODS.iter().any(|method| bytes.starts_with(method)) {
            return Heard::Nothing;
        }
        *self = Self::At(seq.wrapping_add(length(&bytes)));
        Heard::Begins(bytes)
    }
}

/// The length of a piece, which is of one segment.
fn length(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// A piece that waits to be read, and the room that it takes meanwhile.
pub(super) struct Waiting {
    pub(super) bytes: Bytes,
    pub(super) room: OwnedSemaphorePermit,
}

/// Pieces, as a connection that they are read from. What is written to it goes nowhere.
pub(super) struct Piece {
    wanted: Receiver<Waiting>,
    rest: Bytes,
}

impl Piece {
    pub(super) fn new(wanted: Receiver<Waiting>) -> Self {
        Self {
            wanted,
            rest: Bytes::new(),
        }
    }
}

impl AsyncRead for Piece {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.wanted.poll_recv(context)) {
                Some(piece) => self.rest = piece.bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let most = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(most));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Piece {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(bytes: &'static [u8]) -> Bytes {
        Bytes::from_static(bytes)
    }

    #[test]
    fn what_is_sent_again_is_heard_once() {
        let mut progress = Progress::default();
        let start = u32::MAX - 3;
        let first = piece(b"GET / HT");
        assert_eq!(progress.take(start, first.clone()), Heard::Begins(first));
        assert_eq!(progress.take(start, piece(b"GET / HT")), Heard::Nothing);
        // Over the end of the numbers.
        let more = progress.take(start.wrapping_add(4), piece(b"/ HTTP/1.1"));
        assert_eq!(more, Heard::Goes(piece(b"TP/1.1")));
    }

    #[test]
    fn after_a_gap_the_next_request_is_heard() {
        let mut progress = Progress::default();
        assert_eq!(progress.take(0, piece(b"rest of a body")), Heard::Nothing);
        let begins = piece(b"POST /a");
        assert_eq!(progress.take(100, begins.clone()), Heard::Begins(begins));
        assert_eq!(progress.take(200, piece(b"of another")), Heard::Missing);
        assert_eq!(progress.take(300, piece(b"and more")), Heard::Nothing);
        let begins = piece(b"GET /b");
        assert_eq!(progress.take(400, begins.clone()), Heard::Begins(begins));
    }

    #[test]
    fn other_protocols_are_told_once() {
        for first in [&b"PRI * HTTP/2.0\r\n"[..], &[0x16, 0x03, 0x01, 0]] {
            let mut progress = Progress::default();
            assert_eq!(progress.take(0, piece(first)), Heard::Other);
            assert_eq!(progress.take(16, piece(b"GET / ")), Heard::Nothing);
        }
    }

    proptest! {
        /// However a stream is cut, and whatever is sent again, what is heard is the stream.
        #[test]
        fn a_stream_is_heard_as_it_was_sent(
            start in any::<u32>(),
            cuts in prop::collection::vec((1_usize..40, 0_usize..3), 1..30),
        ) {
            let sent: Vec<u8> = b"GET / ".iter().copied().chain((0..=255).cycle()).take(900).collect();
            let (mut progress, mut heard, mut at) = (Progress::default(), Vec::new(), 0);
            for (length, back) in cuts {
                let from = at.max(back) - back;
                let end = (at + length).min(sent.len());
                let bytes = Bytes::copy_from_slice(&sent[from..end]);
                let seq = start.wrapping_add(u32::try_from(from).unwrap());
                match progress.take(seq, bytes) {
                    Heard::Begins(bytes) | Heard::Goes(bytes) => heard.extend_from_slice(&bytes),
                    // Less than a method.
                    other => prop_assert!(at < 4 && other == Heard::Nothing),
                }
                if heard.is_empty() {
                    return Ok(());
                }
                at = end;
            }
            prop_assert_eq!(&heard[..], &sent[..at]);
        }
    }
}
