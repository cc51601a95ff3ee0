//! A server that says which version it is, which request it answers, and what the request's body adds up to.

use std::{
    convert::Infallible,
    net::{Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use anyhow::Result;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Builder};

use super::{Sum, pattern};

/// Bytes of an answer that are made at once.
const PIECE: u64 = 16 * 1024;

/// Serves on a thread of its own, as long as the process lives.
pub(crate) fn start(name: &str, port: u16) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let at = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = runtime.block_on(TcpListener::bind(at))?;
    let name = name.to_owned();
    thread::spawn(move || runtime.block_on(serve(listener, name)));
    Ok(())
}

async fn serve(listener: TcpListener, name: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let name = name.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&name, request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // A client that goes in the middle is none of the server's trouble.
            let _broken = connection.await;
        });
    }
}

async fn answer(name: &str, request: Request<Incoming>) -> Result<Response<Pattern>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut sum = Sum::new();
    while let Some(Ok(frame)) = body.frame().await {
        sum.add(frame.data_ref().map_or(&[][..], |data| data));
    }
    let id = number(&parts.headers, "x-id");
    let left = number(&parts.headers, "x-want");
    let mut response = Response::new(Pattern { id, at: 0, left });
    let headers = response.headers_mut();
    for (key, value) in [
        ("x-version", name.to_owned()),
        ("x-id", id.to_string()),
        ("x-sum", sum.0.to_string()),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(key, value);
        }
    }
    Ok(response)
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A body that is made as it is sent.
struct Pattern {
    id: u64,
    at: u64,
    left: u64,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.min(PIECE);
        if piece == 0 {
            return Poll::Ready(None);
        }
        let bytes = (self.at..self.at + piece).map(|at| pattern(self.id, at));
        let bytes = bytes.collect();
        self.at += piece;
        self.left -= piece;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        // Every second answer is sent in chunks.
        if self.id.is_multiple_of(2) {
            SizeHint::with_exact(self.left)
        } else {
            SizeHint::default()
        }
    }
}
