//! Copies of requests: sent beside the live ones, never in their way. A copy that cannot keep up is broken
//! off, and one too many is not begun; both are counted.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, Version, header::HOST};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};
use serde::Serialize;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Receiver, Sender, channel},
    },
    time::timeout,
};

use super::{
    body::{self, Body, Broken},
    tally::{Answer, Tally},
    upstream::Upstreams,
};
use crate::{
    desired::MirrorHost,
    requests::{Mirror, shadow},
    telemetry::Protocol,
};

/// How many copies may be under way.
pub(super) const UNDER_WAY: usize = 1024;
/// How many pieces of a body a copy may be behind.
const BEHIND: usize = 64;
/// How long a copy may take.
const TAKES_MAX: Duration = Duration::from_secs(15);

/// What became of copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Mirrored {
    /// They were answered, with whatever.
    pub answered: u64,
    /// They were not: no endpoint, no connection, no answer in time.
    pub failed: u64,
    /// They were broken off, because they did not keep up.
    pub slow: u64,
    /// They were not begun, because too many were under way.
    pub busy: u64,
    /// They were not begun, because the request was too long to be kept until it was whole.
    pub too_long: u64,
    /// They were not begun, because bytes of the request are missing: too many at once, or the connection
    /// broke.
    pub cut: u64,
    /// Connections of which nothing is copied: TLS, HTTP/2, another protocol.
    pub other_protocol: u64,
}

/// Makes copies, for all pods together.
pub(super) struct Mirrors {
    slots: Arc<Semaphore>,
    counts: Arc<Counts>,
    /// Who counts answers by who was copied to.
    pub(super) tally: Tally,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
    busy: AtomicU64,
    too_long: AtomicU64,
    cut: AtomicU64,
    other_protocol: AtomicU64,
}

/// Why no copy is made of something that was tapped.
#[derive(Clone, Copy)]
pub(super) enum Lost {
    TooLong,
    Cut,
    OtherProtocol,
    Busy,
}

impl Mirrors {
    pub(super) fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(UNDER_WAY)),
            counts: Arc::default(),
            tally: Tally::default(),
        }
    }

    /// The same for a thread that yields to this one: what becomes of its copies is counted together, and so many
    /// may be under way beside the others.
    pub(super) fn beside(&self) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(UNDER_WAY)),
            counts: Arc::clone(&self.counts),
            tally: self.tally.later(),
        }
    }

    /// How many more may be under way.
    pub(super) fn free(&self) -> usize {
        self.slots.available_permits()
    }

    /// What became of copies so far.
    pub(super) fn counted(&self) -> Mirrored {
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Mirrored {
            answered: counted(&self.counts.answered),
            failed: counted(&self.counts.failed),
            slow: counted(&self.counts.slow),
            busy: counted(&self.counts.busy),
            too_long: counted(&self.counts.too_long),
            cut: counted(&self.counts.cut),
            other_protocol: counted(&self.counts.other_protocol),
        }
    }

    /// Counts what is not copied.
    pub(super) fn lose(&self, why: Lost) {
        count(match why {
            Lost::TooLong => &self.counts.too_long,
            Lost::Cut => &self.counts.cut,
            Lost::OtherProtocol => &self.counts.other_protocol,
            Lost::Busy => &self.counts.busy,
        });
    }

    /// Begins copies of a request that is here as a whole.
    pub(super) fn repeat<'a>(
        self: &Arc<Self>,
        upstreams: &Arc<Upstreams>,
        template: &Request<()>,
        to: impl Iterator<Item = (&'a Mirror, u64)>,
        body: &Bytes,
    ) {
        for (mirror, turn) in to {
            if let Some(mut begun) = self.begin(template, mirror, turn) {
                *begun.request.body_mut() = body::whole(body.clone());
                self.spawn(upstreams, begun);
            }
        }
    }

    /// Begins copies of a request; its body is handed on, and to them as well.
    pub(super) fn copy<'a>(
        self: &Arc<Self>,
        upstreams: &Arc<Upstreams>,
        template: &Request<()>,
        to: impl Iterator<Item = (&'a Mirror, u64)>,
        body: Incoming,
    ) -> Body {
        let mut copies = Vec::new();
        for (mirror, turn) in to {
            let Some(mut begun) = self.begin(template, mirror, turn) else {
                continue;
            };
            if !body.is_end_stream() {
                let (copy, own) = tail();
                *begun.request.body_mut() = own;
                copies.push(copy);
            }
            self.spawn(upstreams, begun);
        }
        if copies.is_empty() {
            return body::handed_on(body);
        }
        Teed {
            body,
            copies,
            mirrors: Arc::clone(self),
        }
        .boxed_unsync()
    }

    fn begin(&self, template: &Request<()>, mirror: &Mirror, turn: u64) -> Option<Begun> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            count(&self.counts.busy);
            return None;
        };
        let begun = mirror
            .to
            .endpoint(turn)
            .zip(copied(template, mirror.host))
            .map(|(to, request)| Begun {
                to,
                request,
                _slot: slot,
            });
        if begun.is_none() {
            count(&self.counts.failed);
        }
        begun
    }

    fn spawn(self: &Arc<Self>, upstreams: &Arc<Upstreams>, begun: Begun) {
        let (mirrors, upstreams) = (Arc::clone(self), Arc::clone(upstreams));
        tokio::spawn(async move { mirrors.send(&upstreams, begun).await });
    }

    async fn send(&self, upstreams: &Arc<Upstreams>, begun: Begun) {
        let protocol = Protocol::of(begun.request.headers());
        let answered = async {
            let response = upstreams.send(begun.to, begun.request).await.ok()?.response;
            self.tally.add(Answer {
                client: upstreams.client(),
                to: begun.to,
                protocol,
                code: response.status().as_u16(),
            });
            let mut body = response.into_body();
            // Nobody reads it; the connection may be used again once it is here.
            while let Some(piece) = body.frame().await {
                piece.ok()?;
            }
            Some(())
        };
        match timeout(TAKES_MAX, answered).await {
            Ok(Some(())) => count(&self.counts.answered),
            Ok(None) | Err(_) => count(&self.counts.failed),
        }
    }
}

/// A copy that is sent.
struct Begun {
    to: SocketAddr,
    request: Request<Body>,
    _slot: OwnedSemaphorePermit,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The head of a copy. `None` if it has no host that may be changed.
fn copied(template: &Request<()>, host: MirrorHost) -> Option<Request<Body>> {
    let mut request = Request::new(body::empty());
    *request.method_mut() = template.method().clone();
    *request.version_mut() = template.version();
    request.headers_mut().clone_from(template.headers());
    *request.uri_mut() = template.uri().clone();
    if host == MirrorHost::Same {
        return Some(request);
    }
    if template.version() == Version::HTTP_2 {
        let mut parts = template.uri().clone().into_parts();
        let host = shadow(parts.authority.as_ref()?.as_str());
        parts.authority = Some(host.parse().ok()?);
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
    } else {
        let host = shadow(template.headers().get(HOST)?.to_str().ok()?);
        let host = HeaderValue::from_str(&host).ok()?;
        request.headers_mut().insert(HOST, host);
    }
    Some(request)
}

/// The body of a live request, whose pieces go to copies too.
struct Teed {
    body: Incoming,
    copies: Vec<Pieces>,
    mirrors: Arc<Mirrors>,
}

/// Where the pieces of one copy go in.
struct Pieces {
    pieces: Sender<Frame<Bytes>>,
    /// Whether they are all there.
    whole: Arc<AtomicBool>,
}

impl Teed {
    fn hand_out(&mut self, frame: &Frame<Bytes>) {
        let mirrors = &self.mirrors;
        self.copies.retain(|copy| {
            let Some(frame) = again(frame) else {
                return false;
            };
            let taken = copy.pieces.try_send(frame).is_ok();
            // Of one that has ended by itself it is known what became of it.
            if !taken && !copy.pieces.is_closed() {
                count(&mirrors.counts.slow);
            }
            taken
        });
    }
}

fn again(frame: &Frame<Bytes>) -> Option<Frame<Bytes>> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Some(Frame::data(data.clone())),
        (None, Some(trailers)) => Some(Frame::trailers(trailers.clone())),
        (None, None) => None,
    }
}

impl hyper::body::Body for Teed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &next {
            Some(Ok(frame)) => self.hand_out(frame),
            Some(Err(_)) => self.copies.clear(),
            None => {}
        }
        if next.is_none() || self.body.is_end_stream() {
            for copy in self.copies.drain(..) {
                copy.whole.store(true, Ordering::Release);
            }
        }
        Poll::Ready(next.map(|next| next.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// The two ends of a copy's body.
fn tail() -> (Pieces, Body) {
    let (pieces, wanted) = channel(BEHIND);
    let whole = Arc::new(AtomicBool::new(false));
    let own = Tail {
        pieces: wanted,
        whole: Arc::clone(&whole),
    };
    (Pieces { pieces, whole }, own.boxed_unsync())
}

/// The body of a copy.
struct Tail {
    pieces: Receiver<Frame<Bytes>>,
    whole: Arc<AtomicBool>,
}

impl hyper::body::Body for Tail {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = ready!(self.pieces.poll_recv(context));
        Poll::Ready(match next {
            Some(frame) => Some(Ok(frame)),
            None if self.whole.load(Ordering::Acquire) => None,
            // What is cut short must not look whole.
            None => Some(Err("the copy is broken off".into())),
        })
    }
}
