//! The node's own ports, where traffic of outside comes in.
//!
//! ```text
//! edge        listeners, opened and closed as the configuration wants
//! hello       which name a client asks for in TLS
//! requests    virtual hosts, then the way that requests of pods take
//! stream      bytes both ways, as fast as they are taken
//! line        what the access log says of such a connection
//! forwarded   what endpoints are told of the client
//! ready       what the configuration wants, with counters that outlive it
//! ```

mod forwarded;
mod hello;
mod line;
mod ready;
mod requests;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{connection::ended, door::Door, forward::Pod, note::Logs, workers::Workers};
use crate::requests::Entrance;
use line::Line;
use ready::{Counted, Inside, Ports, Ready};

/// How long a client may take to say which name it asks for, and to agree on TLS.
const HELLO_MAX: Duration = Duration::from_secs(15);

/// Ports that could not be opened, and why.
pub(super) type Closed = Arc<Mutex<BTreeMap<u16, String>>>;

/// The listeners.
pub(super) struct Edge {
    door: Door,
    workers: Workers,
    pod: Arc<Pod>,
    ports: watch::Sender<Arc<Ports>>,
    open: BTreeMap<u16, oneshot::Sender<Infallible>>,
    closed: Closed,
    ends: watch::Receiver<bool>,
}

impl Edge {
    pub(super) fn new(
        door: Door,
        workers: Workers,
        pod: Arc<Pod>,
        closed: Closed,
        ends: watch::Receiver<bool>,
    ) -> Self {
        Self {
            door,
            workers,
            pod,
            ports: watch::Sender::new(Arc::default()),
            open: BTreeMap::new(),
            closed,
            ends,
        }
    }

    /// Serves these ports, and no others.
    pub(super) async fn follow(
        &mut self,
        wanted: BTreeMap<u16, Entrance>,
        logs: Option<Arc<Logs>>,
        alive: &mpsc::Sender<Infallible>,
    ) {
        let mut next = self.ports.borrow().next(&wanted);
        next.logs = logs;
        self.ports.send_replace(Arc::new(next));
        self.open.retain(|port, _| wanted.contains_key(port));
        self.open_missing(alive).await;
    }

    /// Opens what is not open yet.
    pub(super) async fn open_missing(&mut self, alive: &mpsc::Sender<Infallible>) {
        let wanted: BTreeSet<u16> = self.ports.borrow().numbers().collect();
        let mut closed = BTreeMap::new();
        for port in wanted {
            if self.open.contains_key(&port) {
                continue;
            }
            match open(&self.door, port).await {
                Ok(listener) => {
                    let (stop, stopped) = oneshot::channel();
                    let way = Way {
                        port,
                        pod: Arc::clone(&self.pod),
                        ports: self.ports.subscribe(),
                        ends: self.ends.clone(),
                        alive: alive.clone(),
                    };
                    let workers = self.workers.clone();
                    tokio::spawn(accept(listener, way, workers, stopped));
                    self.open.insert(port, stop);
                }
                Err(error) => {
                    closed.insert(port, error.to_string());
                }
            }
        }
        self.pod.upstreams.tidy();
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
    }
}

/// On all addresses of both families; on those of IPv4 where there is no IPv6.
async fn open(door: &Door, port: u16) -> io::Result<TcpListener> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match door.listen(&None, both).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => {
            let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            door.listen(&None, at).await
        }
        listener => listener,
    }
}

/// How connections of a port are dealt with.
#[derive(Clone)]
struct Way {
    port: u16,
    pod: Arc<Pod>,
    ports: watch::Receiver<Arc<Ports>>,
    ends: watch::Receiver<bool>,
    /// Held, never used: until it is gone, the agent waits a while.
    alive: mpsc::Sender<Infallible>,
}

impl Way {
    /// What the port is for, now.
    fn ready(&self) -> Option<Arc<Ready>> {
        self.ports.borrow().of(self.port)
    }

    /// Whose requests have a line written, now.
    fn logs(&self) -> Option<Arc<Logs>> {
        self.ports.borrow().logs.clone()
    }
}

async fn accept(
    listener: TcpListener,
    way: Way,
    workers: Workers,
    mut stopped: oneshot::Receiver<Infallible>,
) {
    let mut ends = way.ends.clone();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            () = ended(&mut ends) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let way = way.clone();
                    workers.serve(stream, move |stream| serve(stream, from, way));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection from outside could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, mut way: Way) {
    // Without it an answer waits for an acknowledgement; with an error it is merely slower.
    let _slower = stream.set_nodelay(true);
    let (Some(ready), _alive) = (way.ready(), way.alive.clone()) else {
        return;
    };
    let Ok(dialled) = stream.local_addr() else {
        return;
    };
    let ends = Ends {
        client: canonical(from),
        dialled: canonical(dialled),
        began: Instant::now(),
        start: Timestamp::now(),
    };
    match &*ready {
        Ready::Requests(_) => {
            let site = requests::Site::plain(&way, ends);
            requests::serve(stream, site, &mut way.ends).await;
        }
        Ready::Bytes(Some(counted)) => {
            pass(stream, Line::begin(&way, ends, ""), &way, counted).await;
        }
        Ready::Bytes(None) => Line::begin(&way, ends, "").no_route(),
        Ready::Names(_) => named(stream, ends, way).await,
    }
}

/// Both ends of a connection from outside, and since when it is there.
#[derive(Clone, Copy)]
struct Ends {
    client: SocketAddr,
    dialled: SocketAddr,
    began: Instant,
    start: Timestamp,
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// TLS: what the client asks for decides.
async fn named(stream: TcpStream, ends: Ends, mut way: Way) {
    let Ok(Ok((hello, stream))) = timeout(HELLO_MAX, hello::read(stream)).await else {
        return;
    };
    let name = hello.name.unwrap_or_default();
    let Some(ready) = way.ready() else { return };
    let Ready::Names(names) = &*ready else {
        return;
    };
    let line = || Line::begin(&way, ends, &name);
    match names.find(&name) {
        Some(Inside::Passed(counted)) => pass(stream, line(), &way, counted).await,
        Some(Inside::Requests(Some(server), _)) => {
            if let Some(stream) = end_tls(server, stream).await {
                let site = requests::Site::named(&way, ends, name);
                requests::serve(stream, site, &mut way.ends).await;
            }
        }
        Some(Inside::Bytes(Some(server), Some(counted))) => {
            if let Some(stream) = end_tls(server, stream).await {
                pass(stream, line(), &way, counted).await;
            }
        }
        None => line().no_chain(),
        // Without a certificate nobody is let in.
        Some(Inside::Requests(None, _) | Inside::Bytes(None, _) | Inside::Bytes(_, None)) => {}
    }
}

async fn end_tls(
    server: &Arc<rustls::ServerConfig>,
    stream: hello::Read,
) -> Option<tokio_rustls::server::TlsStream<hello::Read>> {
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    match timeout(HELLO_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client and the gateway do not agree on TLS");
            None
        }
        Err(_) => None,
    }
}

async fn pass(client: impl super::connection::Stream, line: Line, way: &Way, counted: &Counted) {
    let mut ends = way.ends.clone();
    tokio::select! {
        () = stream::pass(line.count(client), &way.pod.upstreams, counted) => {}
        // Nobody knows when bytes are whole.
        () = ended(&mut ends) => {}
    }
}
