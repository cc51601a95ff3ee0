//! Copies of requests that clients send directly: what the tap hands over is put together again, read as
//! requests, and sent to mirrors. Nobody waits for any of it.

mod heard;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    Method, Request, Response,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use steer_common::{service::SplitId, tap::TapHead};
use tokio::{
    sync::{
        mpsc::{Receiver, Sender, channel, error::TrySendError},
        watch,
    },
    time::Instant,
};

use super::{
    Served,
    forward::Pod,
    headers,
    mirror::{Lost, Mirrors},
    table::Table,
};
use crate::requests::Action;
use heard::{Heard, Piece, Progress};

/// Takes a piece of what was tapped.
pub type Take<'a> = dyn FnMut(TapHead, &[u8]) + 'a;
/// Hands over the next piece; false if there is none.
pub type Source = Box<dyn FnMut(&mut Take<'_>) -> bool + Send>;

/// How often the tap is looked at.
const EVERY: Duration = Duration::from_millis(2);
/// How many pieces are taken at once, before others of this thread have their turn.
const AT_ONCE: usize = 4_096;
/// How many connections are followed.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a connection that says nothing is remembered.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How many pieces of a connection may wait.
const WAITING_MAX: usize = 256;
/// The longest body that is copied.
const BODY_MAX: usize = 64 * 1024;

/// Follows the connections of routes that are tapped.
pub(super) struct Replay {
    source: Source,
    mirrors: Arc<Mirrors>,
    splits: BTreeSet<SplitId>,
    connections: HashMap<u64, Followed>,
}

/// One connection.
struct Followed {
    progress: Progress,
    pieces: Option<Sender<Bytes>>,
    heard: Instant,
}

impl Replay {
    pub(super) fn new(source: Source, mirrors: Arc<Mirrors>) -> Self {
        Self {
            source,
            mirrors,
            splits: BTreeSet::new(),
            connections: HashMap::new(),
        }
    }

    /// Follows the connections of these routes.
    pub(super) fn follow(&mut self, routes: &BTreeMap<SplitId, Served>) {
        let tapped = routes.iter().filter(|(_, served)| served.tapped);
        self.splits = tapped.map(|(&split, _)| split).collect();
        if self.splits.is_empty() {
            self.connections.clear();
        }
    }

    /// How long to wait for more; none if nothing is tapped.
    pub(super) fn rest(&self) -> Option<Duration> {
        (!self.splits.is_empty()).then_some(EVERY)
    }

    /// Reads what was handed over meanwhile.
    pub(super) fn read(
        &mut self,
        pods: &BTreeMap<u64, Arc<Pod>>,
        table: &watch::Sender<Arc<Table>>,
    ) {
        for _ in 0..AT_ONCE {
            let mut next = None;
            if !(self.source)(&mut |head, bytes| next = Some((head, Bytes::copy_from_slice(bytes))))
            {
                return;
            }
            let Some((head, bytes)) = next else { return };
            if let Some(pod) = pods.get(&head.client)
                && self.splits.contains(&head.split)
            {
                self.take(&head, bytes, pod, table);
            }
        }
    }

    /// Forgets connections that have said nothing for long.
    pub(super) fn tidy(&mut self) {
        self.connections
            .retain(|_, found| found.heard.elapsed() < IDLE_MAX);
    }

    fn take(
        &mut self,
        head: &TapHead,
        bytes: Bytes,
        pod: &Arc<Pod>,
        table: &watch::Sender<Arc<Table>>,
    ) {
        if !self.connections.contains_key(&head.socket) && self.connections.len() >= CONNECTIONS_MAX
        {
            self.mirrors.lose(Lost::Busy);
            return;
        }
        let found = self
            .connections
            .entry(head.socket)
            .or_insert_with(|| Followed {
                progress: Progress::default(),
                pieces: None,
                heard: Instant::now(),
            });
        found.heard = Instant::now();
        match found.progress.take(head.seq, bytes) {
            Heard::Nothing => {}
            Heard::Other => {
                found.pieces = None;
                self.mirrors.lose(Lost::OtherProtocol);
            }
            Heard::Missing => found.pieces = None,
            Heard::Begins(bytes) => {
                // What is left of a request before it ends here, as one that is cut.
                let (pieces, wanted) = channel(WAITING_MAX);
                let reader = Reader {
                    split: head.split,
                    pod: Arc::clone(pod),
                    table: table.subscribe(),
                    mirrors: Arc::clone(&self.mirrors),
                };
                tokio::spawn(reader.read(wanted));
                found.send(pieces, bytes, &self.mirrors);
            }
            Heard::Goes(bytes) => {
                if let Some(pieces) = found.pieces.take() {
                    found.send(pieces, bytes, &self.mirrors);
                }
            }
        }
    }
}

impl Followed {
    fn send(&mut self, pieces: Sender<Bytes>, bytes: Bytes, mirrors: &Mirrors) {
        match pieces.try_send(bytes) {
            Ok(()) => self.pieces = Some(pieces),
            Err(TrySendError::Full(_)) => {
                mirrors.lose(Lost::Busy);
                self.progress = Progress::default();
            }
            // Nothing of it is copied any more: it was no request, or one too many.
            Err(TrySendError::Closed(_)) => self.progress = Progress::Deaf,
        }
    }
}

/// Reads the requests of one connection.
struct Reader {
    split: SplitId,
    pod: Arc<Pod>,
    table: watch::Receiver<Arc<Table>>,
    mirrors: Arc<Mirrors>,
}

impl Reader {
    async fn read(self, pieces: Receiver<Bytes>) {
        let stream = TokioIo::new(Piece::new(pieces));
        let copied = service_fn(|request| self.copied(request));
        let connection = http1::Builder::new().serve_connection(stream, copied);
        if let Err(error) = connection.await {
            // Its body has been counted, if it had come that far.
            tracing::trace!(%error, "what was tapped is no request");
        }
    }

    /// What is answered goes nowhere; a connection that is closed by it is not read any further.
    async fn copied(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let mut answer = Response::new(Empty::new());
        if !self.copy(request).await {
            let close = http::HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        Ok(answer)
    }

    /// Copies a request; false if nothing that follows can be copied.
    async fn copy(&self, request: Request<Incoming>) -> bool {
        let (mut parts, body) = request.into_parts();
        // What becomes of another protocol cannot be copied.
        let leaves = parts.headers.contains_key(UPGRADE);
        if headers::hop(&mut parts.headers) || leaves || parts.method == Method::CONNECT {
            self.mirrors.lose(Lost::OtherProtocol);
            return false;
        }
        let body = match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                self.mirrors.lose(Lost::TooLong);
                return false;
            }
            Err(_) => {
                self.mirrors.lose(Lost::Cut);
                return false;
            }
        };
        let known = self.table.borrow().route(self.split);
        let Some(known) = known else { return false };
        for (rule, tickets) in known.ready.rules() {
            if let Action::Forward(forward) = &rule.action {
                let copies = forward.mirrored(tickets.mirror());
                let upstreams = &self.pod.upstreams;
                let template = Request::from_parts(parts, ());
                self.mirrors.repeat(upstreams, &template, copies, &body);
                break;
            }
        }
        true
    }
}
