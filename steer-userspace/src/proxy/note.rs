//! What is noted of a request for the access log and for metrics. The line is written when nobody has to
//! do with the request any more: its answer has ended, its body is sent or given up, or the client has gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, header::HOST, uri::PathAndQuery,
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    body::{Body, Broken},
    local::GRPC_STATUS,
    messages::Messages,
    told::Told,
};
use crate::{
    access_log::{self, Entry, Flag, Format, Writer},
    desired::model::PodRef,
    requests::Failure,
    telemetry::{Amount, Asked, Meter, Outcome, Protocol},
};

/// Whose lines are written, where to, and how they look.
#[derive(Clone, Debug)]
pub struct Logs {
    /// How a line looks.
    pub format: Arc<Format>,
    /// Where lines go.
    pub writer: Writer,
    /// The pods that ask, by the cookies of their namespaces.
    pub clients: BTreeMap<u64, Arc<LoggedClient>>,
    /// The ports of the node whose requests have lines, and in whose name.
    pub gateways: BTreeMap<u16, PodRef>,
    /// The pods of this node that log what they are asked, by address.
    pub servers: BTreeMap<IpAddr, PodRef>,
    /// Connections whose requests were logged by those.
    pub told: Told,
    /// Who counts requests, if anybody does.
    pub meter: Option<Meter>,
}

/// A pod that asks.
#[derive(Clone, Debug)]
pub struct LoggedClient {
    /// Its name.
    pub pod: Arc<PodRef>,
    /// Its address: that of its end of connections, as others see it.
    pub address: Option<IpAddr>,
    /// Whether it logs what it asks.
    pub logs: bool,
}

/// What is noted of one request; nothing, if nobody logs it.
#[derive(Clone, Default)]
pub(super) struct Note(Option<Arc<Noted>>);

/// This end of the connection that an answer came over.
#[derive(Clone, Copy)]
pub(super) struct UpstreamLocal(pub(super) SocketAddr);

/// Whom a client asked.
struct Addressee<'a> {
    /// What the service is called, for requests that name no host.
    host: &'a str,
    dialled: SocketAddr,
    /// The name of TLS, if that ended here.
    server_name: Option<&'a str>,
}

struct Noted {
    logs: Arc<Logs>,
    client: Arc<LoggedClient>,
    began: Instant,
    protocol: Protocol,
    is_head: bool,
    /// What only a line says.
    words: Option<Box<Words>>,
    dialled: SocketAddr,
    received: Passed,
    sent: Passed,
    found: Mutex<Found>,
}

struct Words {
    start: Timestamp,
    request: access_log::Request,
    from: Option<SocketAddr>,
    server_name: Option<String>,
}

/// How much of a body has passed.
#[derive(Default)]
struct Passed {
    bytes: AtomicU64,
    /// Of gRPC.
    messages: AtomicU64,
}

/// What came of it.
#[derive(Default)]
struct Found {
    status: Option<StatusCode>,
    answer: HeaderMap,
    grpc: Option<u16>,
    flags: BTreeSet<Flag>,
    details: Option<&'static str>,
    rewritten: Option<String>,
    route: Option<String>,
    cluster: Option<Arc<str>>,
    upstream: Option<SocketAddr>,
    upstream_local: Option<SocketAddr>,
    /// When it was last sent.
    attempt: Option<Instant>,
    service_time: Option<Duration>,
    /// Whether all of the answer went to the client.
    ended: bool,
}

impl Found {
    /// What went wrong, and why it was answered so.
    fn outcome(&self) -> (Vec<Flag>, Option<&'static str>) {
        let mut flags = self.flags.clone();
        let mut details = self.details;
        if !self.ended && flags.is_disjoint(&BROKEN.into()) {
            flags.insert(Flag::DownstreamConnectionTermination);
            details = Flag::DownstreamConnectionTermination.details();
        }
        (flags.into_iter().collect(), details)
    }
}

impl Logs {
    /// Begins to note a request of a pod, if anybody might log it; the request carries the note. `from` is the
    /// client's end of its connection.
    pub(super) fn begin(
        self: &Arc<Self>,
        cookie: u64,
        request: &mut Request<Incoming>,
        host: &str,
        dialled: SocketAddr,
        from: Option<SocketAddr>,
    ) -> Note {
        let Some(client) = self.clients.get(&cookie) else {
            return Note::default();
        };
        let asked = Addressee {
            host,
            dialled,
            server_name: None,
        };
        self.note(Arc::clone(client), request, &asked, from)
    }

    /// Begins to note a request of outside, at a port of the node, likewise. `ends` are the client's and the
    /// node's, `server_name` what was asked for in TLS.
    pub(super) fn begin_outside(
        self: &Arc<Self>,
        port: u16,
        request: &mut Request<Incoming>,
        ends: (SocketAddr, SocketAddr),
        server_name: Option<&str>,
    ) -> Note {
        let gateway = self.gateways.get(&port);
        let client = LoggedClient {
            logs: gateway.is_some(),
            pod: Arc::new(gateway.cloned().unwrap_or_default()),
            address: None,
        };
        let (from, dialled) = ends;
        let asked = Addressee {
            host: "",
            dialled,
            server_name,
        };
        self.note(Arc::new(client), request, &asked, Some(from))
    }

    fn note(
        self: &Arc<Self>,
        client: Arc<LoggedClient>,
        request: &mut Request<Incoming>,
        asked: &Addressee<'_>,
        from: Option<SocketAddr>,
    ) -> Note {
        let has_line = client.logs || !self.servers.is_empty();
        if !has_line && self.meter.is_none() {
            return Note::default();
        }
        let noted = Noted {
            logs: Arc::clone(self),
            began: Instant::now(),
            protocol: Protocol::of(request.headers()),
            is_head: request.method() == Method::HEAD,
            words: has_line.then(|| Box::new(words(&client, request, asked, from))),
            client,
            dialled: asked.dialled,
            received: Passed::default(),
            sent: Passed::default(),
            found: Mutex::default(),
        };
        let note = Note(Some(Arc::new(noted)));
        request.extensions_mut().insert(note.clone());
        note
    }
}

fn words(
    client: &LoggedClient,
    request: &Request<Incoming>,
    asked: &Addressee<'_>,
    from: Option<SocketAddr>,
) -> Words {
    let path = request.uri().path_and_query();
    let path = path.map_or_else(|| request.uri().to_string(), ToString::to_string);
    Words {
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

impl Note {
    /// The one that a request carries.
    pub(super) fn of(extensions: &http::Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut Found)) {
        if let Some(noted) = &self.0 {
            change(&mut noted.found());
        }
    }

    /// The rule that took it.
    pub(super) fn route(&self, name: impl FnOnce() -> Option<String>) {
        if let Some(noted) = self.0.as_ref().filter(|noted| noted.words.is_some()) {
            noted.found().route = name();
        }
    }

    /// Something went wrong.
    pub(super) fn flag(&self, flag: Flag) {
        self.change(|found| {
            found.flags.insert(flag);
        });
    }

    /// Why it is answered so.
    pub(super) fn because(&self, details: &'static str) {
        self.change(|found| found.details = Some(details));
    }

    /// No rule takes it.
    pub(super) fn no_route(&self) {
        self.failed(Flag::NoRouteFound);
    }

    /// Why it is answered by the proxy itself.
    pub(super) fn failed(&self, flag: Flag) {
        self.flag(flag);
        self.change(|found| found.details = flag.details());
    }

    /// Where it goes.
    pub(super) fn cluster(&self, name: &Arc<str>) {
        self.change(|found| found.cluster = Some(Arc::clone(name)));
    }

    /// What it asks for there.
    pub(super) fn path(&self, uri: &Uri) {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if let Some(noted) = &self.0
            && let Some(words) = &noted.words
            && words.request.path != path
        {
            noted.found().rewritten = Some(path.to_owned());
        }
    }

    /// It is sent there.
    pub(super) fn attempt(&self, upstream: SocketAddr) {
        self.change(|found| {
            found.upstream = Some(upstream);
            found.upstream_local = None;
            found.attempt = Some(Instant::now());
        });
    }

    /// The head of an answer came.
    pub(super) fn answered<B>(&self, response: &Response<B>) {
        let local = response.extensions().get::<UpstreamLocal>();
        self.change(|found| {
            found.upstream_local = local.map(|local| local.0);
            found.service_time = found.attempt.map(|attempt| attempt.elapsed());
            found.details = Some("via_upstream");
        });
    }

    /// Bytes that passed otherwise than in bodies.
    pub(super) fn passed(&self, received: u64, sent: u64) {
        if let Some(noted) = &self.0 {
            noted.received.bytes.fetch_add(received, Ordering::Relaxed);
            noted.sent.bytes.fetch_add(sent, Ordering::Relaxed);
        }
    }

    /// The request's body, which is counted as it passes.
    pub(super) fn received(&self, body: Body) -> Body {
        let Some(noted) = self.0.as_ref().filter(|_| !body.is_end_stream()) else {
            return body;
        };
        let counted = Received {
            body,
            messages: Messages::default(),
            noted: Arc::clone(noted),
        };
        counted.boxed_unsync()
    }

    /// The answer as the client gets it, which is counted as it passes.
    pub(super) fn sent(&self, response: Response<Body>) -> Response<Body> {
        let Some(noted) = &self.0 else {
            return response;
        };
        let mut found = noted.found();
        let status = response.status();
        found.status = Some(status);
        if noted.words.is_some() {
            found.answer.clone_from(response.headers());
        }
        if noted.protocol == Protocol::Grpc {
            found.grpc = grpc(response.headers());
        }
        drop(found);
        let is_bare = noted.is_head
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        response.map(|body| {
            let counted = Sent {
                body,
                is_bare,
                messages: Messages::default(),
                noted: Arc::clone(noted),
            };
            counted.boxed_unsync()
        })
    }
}

impl Noted {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is counted.
    fn counted(&self, found: &Found, flags: Vec<Flag>) -> (Outcome, Amount) {
        let messages = [&self.received, &self.sent];
        let outcome = Outcome {
            pod: Arc::clone(&self.client.pod),
            cluster: found.cluster.clone(),
            dialled: self.dialled,
            upstream: found.upstream.filter(|_| found.service_time.is_some()),
            flags,
            asked: Asked {
                protocol: self.protocol,
                code: found.status.map_or(0, |status| status.as_u16()),
                grpc: found.grpc,
            },
        };
        let amount = Amount {
            duration: self.began.elapsed(),
            received: self.received.bytes.load(Ordering::Relaxed),
            sent: self.sent.bytes.load(Ordering::Relaxed),
            messages: messages.map(|passed| passed.messages.load(Ordering::Relaxed)),
        };
        (outcome, amount)
    }

    /// As the pod that asked sees it. Nothing more is noted afterwards.
    fn entry(
        &self,
        words: Words,
        found: &mut Found,
        flags: Vec<Flag>,
        details: Option<&'static str>,
    ) -> Entry {
        let mut request = words.request;
        request.rewritten = found.rewritten.take();
        request.answer = std::mem::take(&mut found.answer);
        Entry {
            pod: (*self.client.pod).clone(),
            start: words.start,
            duration: self.began.elapsed(),
            request: Some(request),
            status: found.status.map_or(0, |status| status.as_u16()),
            flags,
            details,
            received: self.received.bytes.load(Ordering::Relaxed),
            sent: self.sent.bytes.load(Ordering::Relaxed),
            service_time: found.service_time,
            upstream: found.upstream,
            upstream_local: found.upstream_local,
            cluster: found.cluster.as_deref().map(str::to_owned),
            dialled: Some(self.dialled),
            client: words.from,
            route: found.route.take(),
            server_name: words.server_name,
        }
    }
}

/// The status of gRPC, in headers or trailers.
fn grpc(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

impl From<Failure> for Flag {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect => Self::UpstreamConnectionFailure,
            Failure::Timeout => Self::UpstreamRequestTimeout,
            Failure::Protocol => Self::UpstreamProtocolError,
            Failure::Refused | Failure::Reset | Failure::Status(_) | Failure::Grpc(_) => {
                Self::UpstreamConnectionTermination
            }
        }
    }
}

/// Flags that say why an answer did not end.
const BROKEN: [Flag; 2] = [
    Flag::UpstreamConnectionTermination,
    Flag::UpstreamRequestTimeout,
];

/// As the pod `upstream` that was asked sees it: what a client's rules did is not known there.
fn of_server(pod: &PodRef, upstream: SocketAddr, mut entry: Entry, took: Duration) -> Entry {
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

impl Drop for Noted {
    fn drop(&mut self) {
        let mut found = std::mem::take(&mut *self.found());
        let (flags, details) = found.outcome();
        let logs = Arc::clone(&self.logs);
        if let Some(meter) = &logs.meter {
            let (outcome, amount) = self.counted(&found, flags.clone());
            meter.request(&outcome, &amount);
        }
        let Some(words) = self.words.take() else {
            return;
        };
        let entry = self.entry(*words, &mut found, flags, details);
        if self.client.logs {
            logs.writer.hand_over(logs.format.line(&entry));
        }
        // A server knows of requests that it answered.
        if let (Some(upstream), Some(attempt)) = (found.upstream, found.attempt)
            && found.service_time.is_some()
            && let Some(pod) = logs.servers.get(&upstream.ip())
        {
            if let Some(local) = found.upstream_local {
                logs.told.add(local);
            }
            let entry = of_server(pod, upstream, entry, attempt.elapsed());
            logs.writer.hand_over(logs.format.line(&entry));
        }
    }
}

/// A request's body.
struct Received {
    body: Body,
    messages: Messages,
    noted: Arc<Noted>,
}

impl hyper::body::Body for Received {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        let noted = &this.noted;
        count(&next, noted.protocol, &mut this.messages, &noted.received);
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body.
struct Sent {
    body: Body,
    /// Whether it has none, whatever its headers say.
    is_bare: bool,
    messages: Messages,
    noted: Arc<Noted>,
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(context);
        let noted = &this.noted;
        count(&next, noted.protocol, &mut this.messages, &noted.sent);
        match &next {
            Poll::Ready(None) => noted.found().ended = true,
            Poll::Ready(Some(Err(error))) => {
                let flag = if error.is::<hyper::Error>() {
                    Flag::UpstreamConnectionTermination
                } else {
                    Flag::UpstreamRequestTimeout
                };
                noted.found().flags.insert(flag);
            }
            Poll::Ready(Some(Ok(frame))) => noted.trailers(frame),
            Poll::Pending => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Noted {
    /// The status of gRPC comes after the body, if there is one.
    fn trailers(&self, frame: &Frame<Bytes>) {
        let trailers = frame.trailers_ref();
        if let Some(status) = trailers.and_then(|all| all.get(GRPC_STATUS)) {
            let mut found = self.found();
            found.answer.insert(GRPC_STATUS, status.clone());
            if self.protocol == Protocol::Grpc {
                found.grpc = trailers.and_then(grpc);
            }
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // A body whose end is known beforehand is not asked for more.
        if self.is_bare || self.body.is_end_stream() {
            self.noted.found().ended = true;
        }
    }
}

fn count(
    next: &Poll<Option<Result<Frame<Bytes>, Broken>>>,
    protocol: Protocol,
    messages: &mut Messages,
    to: &Passed,
) {
    if let Poll::Ready(Some(Ok(frame))) = next
        && let Some(data) = frame.data_ref()
    {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        to.bytes.fetch_add(length, Ordering::Relaxed);
        if protocol == Protocol::Grpc {
            let begun = messages.take(data);
            to.messages.fetch_add(begun, Ordering::Relaxed);
        }
    }
}
