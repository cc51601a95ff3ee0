//! A client's connection, of which only what is clear can be read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// The connection.
pub(super) struct Gate<S> {
    stream: S,
    framing: Framing,
    piece: Box<[u8]>,
    /// What may be read, and how much of it was.
    clear: Vec<u8>,
    read: usize,
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            piece: vec![0; PIECE].into_boxed_slice(),
            clear: Vec::new(),
            read: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let rest = this.clear.get(this.read..).unwrap_or_default();
            if !rest.is_empty() {
                let most = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..most).unwrap_or_default());
                this.read += most;
                return Poll::Ready(Ok(()));
            }
            this.clear.clear();
            this.read = 0;
            if this.framing.is_refused() {
                // Nothing more is read of it.
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let mut piece = ReadBuf::new(&mut this.piece);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.framing.take(piece.filled(), &mut this.clear);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
