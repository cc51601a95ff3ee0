//! What the access log says of a connection whose bytes are passed on, as Envoy's TCP proxy has it. The
//! line is written when the connection is given up, whatever the reason.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Ends, Way};
use crate::{
    access_log::{Entry, Flag},
    proxy::{connection::Stream, note::Logs},
    requests::To,
};

/// The line of a connection; nothing, if nobody logs it.
pub(super) struct Line(Option<Box<Noted>>);

struct Noted {
    logs: Arc<Logs>,
    began: Instant,
    entry: Entry,
}

impl Line {
    /// Of a connection at a port of the node. `name` is what was asked for in TLS; empty if nothing was.
    pub(super) fn begin(way: &Way, ends: Ends, name: &str) -> Self {
        let noted = || {
            let logs = way.logs()?;
            let pod = (*logs.gateways.get(&way.port)?.pod).clone();
            let entry = Entry {
                pod,
                start: ends.start,
                duration: Duration::ZERO,
                request: None,
                status: 0,
                flags: Vec::new(),
                details: None,
                received: 0,
                sent: 0,
                service_time: None,
                upstream: None,
                upstream_local: None,
                cluster: None,
                dialled: Some(ends.dialled),
                client: Some(ends.client),
                route: None,
                server_name: (!name.is_empty()).then(|| name.to_owned()),
            };
            let began = ends.began;
            Some(Box::new(Noted { logs, began, entry }))
        };
        Self(noted())
    }

    /// No rule takes it.
    pub(super) fn no_route(mut self) {
        self.flag(Flag::NoRouteFound);
    }

    /// No server of a Gateway has the name.
    pub(super) fn no_chain(mut self) {
        self.flag(Flag::NoRouteFound);
        self.change(|entry| entry.details = Some("filter_chain_not_found"));
    }

    /// Something went wrong.
    pub(super) fn flag(&mut self, flag: Flag) {
        self.change(|entry| entry.flags.push(flag));
    }

    /// Where it goes.
    pub(super) fn to(&mut self, to: &To) {
        self.change(|entry| entry.cluster = Some(to.cluster.to_string()));
    }

    /// This endpoint is tried.
    pub(super) fn attempt(&mut self, upstream: SocketAddr) {
        self.change(|entry| entry.upstream = Some(upstream));
    }

    /// It took the connection, of which `local` is this end.
    pub(super) fn connected(&mut self, local: Option<SocketAddr>) {
        self.change(|entry| entry.upstream_local = local);
    }

    /// The client, with bytes counted as they pass.
    pub(super) fn count<S: Stream>(self, client: S) -> Measured<S> {
        Measured { client, line: self }
    }

    fn change(&mut self, change: impl FnOnce(&mut Entry)) {
        if let Some(noted) = &mut self.0 {
            change(&mut noted.entry);
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.entry.duration = self.began.elapsed();
        self.logs
            .writer
            .hand_over(self.logs.format.line(&self.entry));
    }
}

/// A client, and the line of its connection.
pub(super) struct Measured<S> {
    client: S,
    pub(super) line: Line,
}

impl<S: Stream> AsyncRead for Measured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.client).poll_read(context, buffer);
        let more = buffer.filled().len().saturating_sub(before);
        self.line.change(|entry| entry.received += length(more));
        read
    }
}

impl<S: Stream> AsyncWrite for Measured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.client).poll_write(context, bytes);
        if let Poll::Ready(Ok(more)) = written {
            self.line.change(|entry| entry.sent += length(more));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(context)
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
