//! What only a line of the access log says of a request.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, Request, header::HOST};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Addressee, LoggedClient};
use crate::{
    access_log::{self, Entry, Flag},
    desired::model::PodRef,
};

/// What is noted for it.
pub(super) struct Words {
    pub(super) start: Timestamp,
    pub(super) request: access_log::Request,
    pub(super) from: Option<SocketAddr>,
    pub(super) server_name: Option<String>,
    pub(super) details: Option<&'static str>,
    pub(super) route: Option<String>,
    pub(super) upstream_local: Option<SocketAddr>,
    /// When it was last sent.
    pub(super) attempt: Option<Instant>,
    pub(super) service_time: Option<Duration>,
}

impl Words {
    /// As the request has come. `from` is the client's end of its connection.
    pub(super) fn new(
        client: &LoggedClient,
        request: &Request<Incoming>,
        asked: &Addressee<'_>,
        from: Option<SocketAddr>,
    ) -> Self {
        let path = request.uri().path_and_query();
        let path = path.map_or_else(|| request.uri().to_string(), ToString::to_string);
        Self {
            start: Timestamp::now(),
            request: access_log::Request {
                method: request.method().clone(),
                path,
                rewritten: None,
                version: request.version(),
                authority: authority(request, asked.host),
                headers: request.headers().clone(),
                answer: HeaderMap::new(),
            },
            from: from.map(|from| {
                let ip = client.address.unwrap_or_else(|| from.ip());
                SocketAddr::new(ip, from.port())
            }),
            server_name: asked.server_name.map(ToOwned::to_owned),
            details: None,
            route: None,
            upstream_local: None,
            attempt: None,
            service_time: None,
        }
    }

    /// It is sent to an endpoint.
    pub(super) fn attempt(&mut self) {
        self.upstream_local = None;
        self.attempt = Some(Instant::now());
    }

    /// The head of an answer came, to this end of a connection.
    pub(super) fn answered(&mut self, local: SocketAddr) {
        self.upstream_local = Some(local);
        self.service_time = self.attempt.map(|attempt| attempt.elapsed());
        self.details = Some("via_upstream");
    }
}

/// Whom it is for: as it says, or the service that was dialled.
fn authority(request: &Request<Incoming>, host: &str) -> String {
    if let Some(named) = request.uri().authority() {
        return named.as_str().to_owned();
    }
    let named = request.headers().get(HOST);
    let named = named.map(|named| String::from_utf8_lossy(named.as_bytes()).into_owned());
    named.unwrap_or_else(|| host.to_owned())
}

/// As the pod `upstream` that was asked sees it: what a client's rules did is not known there.
pub(super) fn of_server(
    pod: &PodRef,
    upstream: SocketAddr,
    mut entry: Entry,
    took: Duration,
) -> Entry {
    const OF_CLIENTS: [Flag; 2] = [Flag::DelayInjected, Flag::UpstreamRetryLimitExceeded];
    if let Some(request) = &mut entry.request
        && let Some(path) = request.rewritten.take()
    {
        request.path = path;
    }
    entry.flags.retain(|flag| !OF_CLIENTS.contains(flag));
    Entry {
        pod: pod.clone(),
        duration: took,
        service_time: Some(took),
        cluster: Some(format!("inbound|{}||", upstream.port())),
        dialled: Some(upstream),
        client: entry.upstream_local,
        upstream_local: None,
        server_name: None,
        route: Some("default".to_owned()),
        ..entry
    }
}
