//! Which name a client asks for in TLS: its first bytes are read, and kept for whoever goes on with
//! them. The parser is that of rustls.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most that a ClientHello may be: those with large keys are some thousand bytes.
const HELLO_MAX: usize = 64 * 1024;

/// What a client said.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) name: Option<String>,
}

/// Reads until the name is known, or is known not to come.
pub(super) async fn read(mut stream: TcpStream) -> io::Result<(Hello, Read)> {
    let mut acceptor = Acceptor::default();
    let mut first = Vec::new();
    loop {
        let known = first.len();
        if known > HELLO_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fresh = first.get(known..).unwrap_or_default();
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
        }
        let accepted = acceptor.accept();
        let accepted = accepted.map_err(|(error, _)| io::Error::other(error))?;
        if let Some(accepted) = accepted {
            let name = accepted.client_hello().server_name().map(ToOwned::to_owned);
            let read = Read {
                first,
                at: 0,
                stream,
            };
            return Ok((Hello { name }, read));
        }
    }
}

/// A connection of which the first bytes have been looked at.
pub(super) struct Read {
    first: Vec<u8>,
    at: usize,
    stream: TcpStream,
}

impl AsyncRead for Read {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.first.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let most = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..most).unwrap_or_default());
        self.at += most;
        if self.at == self.first.len() {
            (self.first, self.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Read {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
