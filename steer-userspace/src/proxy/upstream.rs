//! Connections to endpoints, from the pod's own namespace: kept while they are idle, and never given a
//! request twice that may have had an effect.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use h2::Reason;
use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout};

use super::{
    body::Body,
    door::{Door, Namespace},
    mirror::UNDER_WAY,
    workers,
};
use crate::requests::Failure;

/// How long a connection may take to be made: Istio's default.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How many idle connections to one endpoint each thread keeps: as many as copies may be under way. Fewer would be
/// closed after each burst, and the ports of the pod run out: then each attempt to connect looks through
/// all of them.
const IDLE_COUNT: usize = UNDER_WAY;

/// How much of an answer is read at once that nobody waits for, and how long its head may be.
const DISCARDED_MAX: usize = 64 * 1024;

/// The connections of one pod.
pub(super) struct Upstreams {
    door: Door,
    namespace: Namespace,
    client: u64,
    /// Whether nobody waits for what is answered.
    discards: bool,
    /// By the thread that made them: each uses its own.
    kept: Box<[Mutex<Kept>]>,
}

#[derive(Default)]
struct Kept {
    idle: HashMap<SocketAddr, Vec<(Alone, Instant)>>,
    shared: HashMap<SocketAddr, Shared>,
}

/// A connection that carries one request at a time, and this end of it.
struct Alone {
    sender: http1::SendRequest<Body>,
    local: SocketAddr,
}

/// A connection that requests share, and this end of it.
#[derive(Clone)]
struct Shared {
    sender: http2::SendRequest<Body>,
    local: SocketAddr,
}

/// An answer, or its head.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// This end of the connection that it came over.
    pub(super) local: SocketAddr,
}

/// A request that was not answered.
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Request<Body>>,
    /// Over a connection that had been idle: its end may have crossed the request.
    pub(super) reused: bool,
}

impl Lost {
    fn connect(unsent: Request<Body>) -> Self {
        Self {
            failure: Failure::Connect,
            unsent: Some(unsent),
            reused: false,
        }
    }

    fn sending(unsent: Option<Request<Body>>, reused: bool, error: &hyper::Error) -> Self {
        Self {
            failure: match unsent {
                Some(_) => Failure::Refused,
                None => failure(error),
            },
            unsent,
            reused,
        }
    }
}

/// How a request ended that was sent.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::Protocol;
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let Some(http2): Option<&h2::Error> = cause else {
        return Failure::Reset;
    };
    match http2.reason() {
        Some(Reason::REFUSED_STREAM) if http2.is_remote() => Failure::Refused,
        // Streams that the endpoint began nothing with, before it goes.
        Some(Reason::NO_ERROR) if http2.is_remote() && http2.is_go_away() => Failure::Refused,
        Some(_) if !http2.is_remote() => Failure::Protocol,
        _ => Failure::Reset,
    }
}

impl Upstreams {
    /// None yet; so many threads use them.
    pub(super) fn new(door: Door, namespace: Namespace, threads: usize) -> Self {
        Self {
            door,
            namespace,
            client: 0,
            discards: false,
            kept: (0..threads.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// Sends a request in its own version, and waits for the head of the answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        to: SocketAddr,
        request: Request<Body>,
    ) -> Result<Answer, Lost> {
        if request.version() == Version::HTTP_2 {
            self.send_shared(to, request).await
        } else {
            self.send_alone(to, request).await
        }
    }

    /// Over a connection that carries no other request meanwhile.
    async fn send_alone(
        self: &Arc<Self>,
        to: SocketAddr,
        mut request: Request<Body>,
    ) -> Result<Answer, Lost> {
        loop {
            let (mut alone, reused) = match self.take_idle(to) {
                Some(alone) => (alone, true),
                None => match self.open(to).await {
                    Ok(alone) => (alone, false),
                    Err(_) => return Err(Lost::connect(request)),
                },
            };
            match alone.sender.try_send_request(request).await {
                Ok(response) => {
                    let local = alone.local;
                    self.give_back(to, alone);
                    return Ok(Answer { response, local });
                }
                Err(mut error) => match error.take_message() {
                    // It was closed while it was idle: the next one.
                    Some(same) if reused => request = same,
                    unsent => return Err(Lost::sending(unsent, reused, error.error())),
                },
            }
        }
    }

    /// Over the one connection that requests of HTTP/2 share.
    async fn send_shared(
        &self,
        to: SocketAddr,
        mut request: Request<Body>,
    ) -> Result<Answer, Lost> {
        loop {
            let known = self.kept().shared.get(&to).cloned();
            let known = known.filter(|shared| !shared.sender.is_closed());
            let reused = known.is_some();
            let mut shared = match known {
                Some(shared) => shared,
                None => match self.open_shared(to).await {
                    Ok(shared) => shared,
                    Err(_) => return Err(Lost::connect(request)),
                },
            };
            match shared.sender.try_send_request(request).await {
                Ok(response) => {
                    let local = shared.local;
                    return Ok(Answer { response, local });
                }
                Err(mut error) => match error.take_message() {
                    Some(same) if reused => {
                        self.kept().shared.remove(&to);
                        request = same;
                    }
                    unsent => return Err(Lost::sending(unsent, reused, error.error())),
                },
            }
        }
    }

    async fn open(&self, to: SocketAddr) -> io::Result<Alone> {
        let stream = self.connect(to).await?;
        let local = stream.local_addr()?;
        let mut builder = http1::Builder::new();
        if self.discards {
            builder.max_buf_size(DISCARDED_MAX);
        }
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(connection.with_upgrades());
        Ok(Alone { sender, local })
    }

    async fn open_shared(&self, to: SocketAddr) -> io::Result<Shared> {
        let stream = self.connect(to).await?;
        let local = stream.local_addr()?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let handshake = builder
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let shared = Shared { sender, local };
        self.kept().shared.insert(to, shared.clone());
        Ok(shared)
    }

    /// Connects to an endpoint.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let connected = timeout(CONNECT_MAX, self.door.connect(&self.namespace, to)).await;
        let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // Requests that come in from outside are not counted one by one: their connections are.
        if self.namespace.is_some()
            && let Ok(local) = stream.local_addr()
        {
            self.door.made.add(local, self.door.started.elapsed());
        }
        Ok(stream)
    }

    /// The cookie of the namespace of the pod that these are of; 0 if they are of none.
    pub(super) fn client(&self) -> u64 {
        self.client
    }

    /// Those of a pod.
    pub(super) fn of(self, client: u64) -> Self {
        Self { client, ..self }
    }

    /// Those of copies: a thousand answers may come at once, and each would have as much memory as one that is handed
    /// on.
    pub(super) fn that_discards(self) -> Self {
        Self {
            discards: true,
            ..self
        }
    }

    fn take_idle(&self, to: SocketAddr) -> Option<Alone> {
        let mut kept = self.kept();
        let idle = kept.idle.get_mut(&to)?;
        // The latest first: the others may then grow old.
        while let Some((alone, since)) = idle.pop() {
            if !alone.sender.is_closed() && since.elapsed() < IDLE_MAX {
                return Some(alone);
            }
        }
        None
    }

    /// Keeps it for another request, once the answer has been read.
    fn give_back(self: &Arc<Self>, to: SocketAddr, mut alone: Alone) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if alone.sender.ready().await.is_ok() {
                let mut kept = this.kept();
                let idle = kept.idle.entry(to).or_default();
                if idle.len() < IDLE_COUNT {
                    idle.push((alone, Instant::now()));
                }
            }
        });
    }

    /// Lets go of connections that were idle for too long, or are closed.
    pub(super) fn tidy(&self) {
        for kept in &self.kept {
            lock(kept).tidy();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept[workers::number() % self.kept.len()])
    }
}

impl Kept {
    fn tidy(&mut self) {
        self.idle.retain(|_, idle| {
            idle.retain(|(alone, since)| !alone.sender.is_closed() && since.elapsed() < IDLE_MAX);
            !idle.is_empty()
        });
        self.shared.retain(|_, shared| !shared.sender.is_closed());
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
