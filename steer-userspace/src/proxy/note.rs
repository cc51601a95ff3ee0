//! What is noted of a request for the access log and for metrics. It is told when nobody has to do with the request
//! any more: its answer has ended, its body is sent or given up, or the client has gone.

mod bodies;
mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::{body::Body, local::GRPC_STATUS, told::Told};
use crate::{
    access_log::{Entry, Flag, Format, Writer},
    desired::model::PodRef,
    requests::Failure,
    telemetry::{Amount, Asked, Meter, Outcome, Protocol},
};
pub(super) use bodies::Counted;
use line::Words;

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
    pub gateways: BTreeMap<u16, Arc<LoggedClient>>,
    /// The pods of this node that log what they are asked, by address.
    pub servers: BTreeMap<IpAddr, PodRef>,
    /// Connections whose requests were logged by those.
    pub told: Told,
    /// Who counts requests, if anybody does.
    pub meter: Option<Meter>,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct LoggedClient {
    /// The pod's name.
    pub pod: Arc<PodRef>,
    /// Its address: that of its end of connections, as others see it.
    pub address: Option<IpAddr>,
    /// Whether it logs what it asks.
    pub logs: bool,
}

/// What is noted of one request; nothing, if nobody wants to know.
#[derive(Clone, Default)]
pub(super) struct Note(Option<Arc<Noted>>);

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
    dialled: SocketAddr,
    received: Passed,
    sent: Passed,
    found: Mutex<Found>,
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
    grpc: Option<u16>,
    flags: BTreeSet<Flag>,
    cluster: Option<Arc<str>>,
    upstream: Option<SocketAddr>,
    /// Whether the head of an answer came from there.
    answered: bool,
    /// Whether all of the answer went to the client.
    ended: bool,
    /// None if no line may be written.
    words: Option<Box<Words>>,
}

impl Found {
    /// Why it is answered so.
    fn because(&mut self, details: Option<&'static str>) {
        if let Some(words) = &mut self.words {
            words.details = details;
        }
    }

    /// Nothing more comes.
    fn close(&mut self) {
        if !self.ended && self.flags.is_disjoint(&BROKEN.into()) {
            let flag = Flag::DownstreamConnectionTermination;
            self.flags.insert(flag);
            self.because(flag.details());
        }
    }
}

impl Logs {
    /// Begins to note a request of a pod, if anybody wants to know. `from` is the client's end of its connection.
    pub(super) fn begin(
        self: &Arc<Self>,
        cookie: u64,
        request: &Request<Incoming>,
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
        request: &Request<Incoming>,
        ends: (SocketAddr, SocketAddr),
        server_name: Option<&str>,
    ) -> Note {
        let client = self.gateways.get(&port).cloned().unwrap_or_default();
        let (from, dialled) = ends;
        let asked = Addressee {
            host: "",
            dialled,
            server_name,
        };
        self.note(client, request, &asked, Some(from))
    }

    fn note(
        self: &Arc<Self>,
        client: Arc<LoggedClient>,
        request: &Request<Incoming>,
        asked: &Addressee<'_>,
        from: Option<SocketAddr>,
    ) -> Note {
        let has_line = client.logs || !self.servers.is_empty();
        if !has_line && self.meter.is_none() {
            return Note::default();
        }
        let words = has_line.then(|| Box::new(Words::new(&client, request, asked, from)));
        Note(Some(Arc::new(Noted {
            logs: Arc::clone(self),
            client,
            began: Instant::now(),
            protocol: Protocol::of(request.headers()),
            is_head: request.method() == Method::HEAD,
            dialled: asked.dialled,
            received: Passed::default(),
            sent: Passed::default(),
            found: Mutex::new(Found {
                words,
                ..Found::default()
            }),
        })))
    }
}

impl Note {
    fn change(&self, change: impl FnOnce(&mut Found)) {
        if let Some(noted) = &self.0 {
            change(&mut noted.found());
        }
    }

    /// The rule that took it.
    pub(super) fn route(&self, name: impl FnOnce() -> Option<String>) {
        self.change(|found| {
            if let Some(words) = &mut found.words {
                words.route = name();
            }
        });
    }

    /// Something went wrong.
    pub(super) fn flag(&self, flag: Flag) {
        self.change(|found| {
            found.flags.insert(flag);
        });
    }

    /// Why it is answered so.
    pub(super) fn because(&self, details: &'static str) {
        self.change(|found| found.because(Some(details)));
    }

    /// No rule takes it.
    pub(super) fn no_route(&self) {
        self.failed(Flag::NoRouteFound);
    }

    /// Why it is answered by the proxy itself.
    pub(super) fn failed(&self, flag: Flag) {
        self.change(|found| {
            found.flags.insert(flag);
            found.because(flag.details());
        });
    }

    /// Where it goes, and what it asks for there.
    pub(super) fn sends(&self, cluster: &Arc<str>, uri: &Uri) {
        self.change(|found| {
            found.cluster = Some(Arc::clone(cluster));
            if let Some(words) = &mut found.words {
                let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
                let is_other = words.request.path != path;
                words.request.rewritten = is_other.then(|| path.to_owned());
            }
        });
    }

    /// Where it would go, if there were an endpoint.
    pub(super) fn cluster(&self, name: &Arc<str>) {
        self.change(|found| found.cluster = Some(Arc::clone(name)));
    }

    /// It is sent there.
    pub(super) fn attempt(&self, upstream: SocketAddr) {
        self.change(|found| {
            found.upstream = Some(upstream);
            if let Some(words) = &mut found.words {
                words.attempt();
            }
        });
    }

    /// The head of an answer came, to this end of a connection.
    pub(super) fn answered(&self, local: SocketAddr) {
        self.change(|found| {
            found.answered = true;
            if let Some(words) = &mut found.words {
                words.answered(local);
            }
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
        match &self.0 {
            Some(noted) if !body.is_end_stream() => {
                Counted::received(body, Arc::clone(noted)).boxed_unsync()
            }
            _ => body,
        }
    }

    /// The answer as the client gets it, which is counted as it passes.
    pub(super) fn sent(self, response: Response<Body>) -> Response<Counted> {
        let Some(noted) = self.0 else {
            return response.map(Counted::uncounted);
        };
        let is_bare = noted.is_answered(&response);
        response.map(|body| Counted::sent(body, is_bare, noted))
    }
}

impl Noted {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This is the answer, or its head. True if nothing follows.
    fn is_answered(&self, response: &Response<Body>) -> bool {
        let mut found = self.found();
        let (status, headers) = (response.status(), response.headers());
        found.status = Some(status);
        if let Some(words) = &mut found.words {
            words.request.answer.clone_from(headers);
        }
        if self.protocol == Protocol::Grpc {
            found.grpc = grpc(headers);
        }
        self.is_head
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
    }

    /// The status of gRPC comes after the body, if there is one.
    fn trailers(&self, trailers: &HeaderMap) {
        let Some(status) = trailers.get(GRPC_STATUS) else {
            return;
        };
        let mut found = self.found();
        if let Some(words) = &mut found.words {
            words.request.answer.insert(GRPC_STATUS, status.clone());
        }
        if self.protocol == Protocol::Grpc {
            found.grpc = grpc(trailers);
        }
    }

    /// As it is counted.
    fn counted(&self, found: &Found) -> (Outcome, Amount) {
        let messages = [&self.received, &self.sent];
        let outcome = Outcome {
            pod: Arc::clone(&self.client.pod),
            cluster: found.cluster.clone(),
            dialled: self.dialled,
            upstream: found.upstream.filter(|_| found.answered),
            flags: found.flags.iter().copied().collect(),
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

    /// As the pod that asked sees it.
    fn entry(&self, words: Words, found: &Found) -> Entry {
        Entry {
            pod: (*self.client.pod).clone(),
            start: words.start,
            duration: self.began.elapsed(),
            request: Some(words.request),
            status: found.status.map_or(0, |status| status.as_u16()),
            flags: found.flags.iter().copied().collect(),
            details: words.details,
            received: self.received.bytes.load(Ordering::Relaxed),
            sent: self.sent.bytes.load(Ordering::Relaxed),
            service_time: words.service_time,
            upstream: found.upstream,
            upstream_local: words.upstream_local,
            cluster: found.cluster.as_deref().map(str::to_owned),
            dialled: Some(self.dialled),
            client: words.from,
            route: words.route,
            server_name: words.server_name,
        }
    }

    /// Writes the lines of whoever logs it.
    fn log(&self, words: Words, found: &Found) {
        let logs = &self.logs;
        let attempt = words.attempt;
        let entry = self.entry(words, found);
        if self.client.logs {
            logs.writer.hand_over(logs.format.line(&entry));
        }
        // A server knows of requests that it answered.
        if let (Some(upstream), Some(attempt)) = (found.upstream, attempt)
            && found.answered
            && let Some(pod) = logs.servers.get(&upstream.ip())
        {
            if let Some(local) = entry.upstream_local {
                logs.told.add(local);
            }
            let entry = line::of_server(pod, upstream, entry, attempt.elapsed());
            logs.writer.hand_over(logs.format.line(&entry));
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

impl Drop for Noted {
    fn drop(&mut self) {
        let mut found = std::mem::take(&mut *self.found());
        found.close();
        if let Some(meter) = &self.logs.meter {
            let (outcome, amount) = self.counted(&found);
            meter.request(&outcome, &amount);
        }
        if let Some(words) = found.words.take() {
            self.log(*words, &found);
        }
    }
}
