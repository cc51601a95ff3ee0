//! Listeners: one for each route and pod. Its address says which route was dialled.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use http::{HeaderValue, Request, StatusCode, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use steer_common::{
    addr::Peer,
    service::{REQUEST_PORT, SplitId, request_address},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    Orders, Place,
    connection::{self, ended},
    door::Door,
    edge::{Closed, Edge},
    forward::Pod,
    mirror::Mirrors,
    note::Note,
    table::{Known, Table},
    tap::{Copier, Tapped},
    upstream::Upstreams,
    workers::Workers,
};

/// How long a listener stays that is not needed any more: connections may be on their way to it.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection may be on its way to a listener.
const ON_THE_WAY: Duration = Duration::from_millis(20);
/// When to try again what could not be opened, and to let go of idle connections.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How long a connection waits for its route: the kernel may know of it a moment before.
const ROUTE_MAX: Duration = Duration::from_secs(1);

/// Dropped, it ends a listener.
type Stop = oneshot::Sender<Infallible>;

pub(super) struct Listeners {
    door: Door,
    workers: Workers,
    mirrors: Arc<Mirrors>,
    edge: Edge,
    copier: Copier,
    table: watch::Sender<Arc<Table>>,
    wanted: Vec<Place>,
    pods: BTreeMap<u64, Arc<Pod>>,
    open: BTreeMap<(u64, SplitId), Stop>,
    /// Those that could not be opened, and that this was told of.
    failed: BTreeSet<(u64, SplitId)>,
    /// Whether this ends.
    ends: watch::Sender<bool>,
    /// Each connection has a copy; all are gone when there is none left.
    alive: mpsc::Sender<Infallible>,
    gone: mpsc::Receiver<Infallible>,
}

impl Listeners {
    pub(super) fn new(
        door: Door,
        workers: Workers,
        mirrors: Arc<Mirrors>,
        copier: Copier,
        closed: Closed,
        table: watch::Sender<Arc<Table>>,
    ) -> Self {
        let (alive, gone) = mpsc::channel(1);
        let ends = watch::Sender::new(false);
        let node = Pod {
            upstreams: Arc::new(Upstreams::new(door.clone(), None, workers.count())),
            mirrors: Arc::clone(&mirrors),
            edge: true,
        };
        let node = Arc::new(node);
        let edge = Edge::new(
            door.clone(),
            workers.clone(),
            node,
            closed,
            ends.subscribe(),
        );
        Self {
            door,
            workers,
            copier,
            mirrors,
            edge,
            table,
            wanted: Vec::new(),
            pods: BTreeMap::new(),
            open: BTreeMap::new(),
            failed: BTreeSet::new(),
            ends,
            alive,
            gone,
        }
    }

    /// Serves what is ordered.
    pub(super) async fn follow(&mut self, orders: Orders) {
        let tapped = orders.routes.iter().filter(|(_, served)| served.tapped);
        let splits = tapped.map(|(&split, _)| split).collect();
        let mut next = self.table.borrow().next(orders.routes);
        next.logs = orders.logs.clone();
        let table = Arc::new(next);
        self.copier.follow(Tapped {
            splits,
            pods: orders
                .pods
                .iter()
                .map(|place| (place.cookie, place.namespace.clone()))
                .collect(),
            table: Arc::clone(&table),
        });
        self.table.send_replace(table);
        self.wanted = orders.pods;
        let pairs = self.wanted.iter().flat_map(|place| {
            let splits = place.splits.iter();
            splits.map(|&split| (place.cookie, split))
        });
        let pairs: BTreeSet<(u64, SplitId)> = pairs.collect();
        self.open.retain(|pair, _| pairs.contains(pair));
        self.failed.retain(|pair| pairs.contains(pair));
        let cookies: BTreeSet<u64> = self.wanted.iter().map(|place| place.cookie).collect();
        self.pods.retain(|cookie, _| cookies.contains(cookie));
        self.open_missing().await;
        self.edge
            .follow(orders.edge, orders.logs, &self.alive)
            .await;
    }

    /// Takes no more connections, and waits until requests that are under way are answered.
    pub(super) async fn end(self) {
        let Self {
            open,
            edge,
            ends,
            alive,
            mut gone,
            // What is under way ends on its threads.
            workers,
            ..
        } = self;
        // Those that the kernel has sent already come in, and are read.
        sleep(ON_THE_WAY).await;
        workers.catch_up().await;
        sleep(ON_THE_WAY).await;
        ends.send_replace(true);
        drop((open, edge, alive));
        let _none_left = gone.recv().await;
    }

    /// Waits, and tries again what could not be done.
    pub(super) async fn idle(&mut self) {
        sleep(RETRY_EVERY).await;
        self.pods.values().for_each(|pod| pod.upstreams.tidy());
        self.open_missing().await;
        self.edge.open_missing(&self.alive).await;
    }

    async fn open_missing(&mut self) {
        for place in &self.wanted {
            let upstreams = || {
                let threads = self.workers.count();
                let all = Upstreams::new(self.door.clone(), place.namespace.clone(), threads);
                Arc::new(all.of(place.cookie))
            };
            let pod = self.pods.entry(place.cookie).or_insert_with(|| {
                Arc::new(Pod {
                    upstreams: upstreams(),
                    mirrors: Arc::clone(&self.mirrors),
                    edge: false,
                })
            });
            for &split in &place.splits {
                let key = (place.cookie, split);
                if self.open.contains_key(&key) {
                    continue;
                }
                match open(&self.door, place, split).await {
                    Ok(listener) => {
                        let (stop, stopped) = oneshot::channel();
                        let entrance = Entrance {
                            split,
                            cookie: place.cookie,
                            pod: Arc::clone(pod),
                            table: self.table.subscribe(),
                            ends: self.ends.subscribe(),
                            alive: self.alive.clone(),
                        };
                        let workers = self.workers.clone();
                        tokio::spawn(accept(listener, entrance, workers, stopped));
                        self.open.insert(key, stop);
                        self.failed.remove(&key);
                    }
                    // Its connections take the rule that needs no request, meanwhile.
                    Err(error) if self.failed.insert(key) => {
                        tracing::warn!(cookie = place.cookie, split, %error, "a pod has no listener for requests");
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

async fn open(door: &Door, place: &Place, split: SplitId) -> io::Result<TcpListener> {
    let none = || io::Error::other("no loopback address is left for it");
    let address = Ipv4Addr::from(request_address(split).ok_or_else(none)?);
    let at = SocketAddr::from((address, REQUEST_PORT));
    door.listen(&place.namespace, at).await
}

/// Where connections of a route come in.
#[derive(Clone)]
struct Entrance {
    split: SplitId,
    /// The pod's namespace.
    cookie: u64,
    pod: Arc<Pod>,
    table: watch::Receiver<Arc<Table>>,
    ends: watch::Receiver<bool>,
    /// Held, never used.
    alive: mpsc::Sender<Infallible>,
}

impl Entrance {
    /// The route, once it is known.
    async fn first(&mut self) -> Option<Arc<Known>> {
        let split = self.split;
        let known = |table: &Arc<Table>| table.route(split).is_some();
        let table = timeout(ROUTE_MAX, self.table.wait_for(known)).await;
        table.ok()?.ok()?.route(split)
    }

    /// The same route as it is now, or as it was last; and whether it is gone, even if another one has
    /// its number.
    fn now(&self, last: &Mutex<Arc<Known>>) -> (Arc<Known>, bool) {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.table.borrow().route(self.split);
        let found = found.filter(|found| found.key == last.key);
        let gone = found.is_none();
        if let Some(found) = found {
            *last = found;
        }
        (Arc::clone(&last), gone)
    }

    /// What is noted of a request for the access log.
    fn note(&self, known: &Known, request: &Request<Incoming>, from: Option<SocketAddr>) -> Note {
        let logs = self.table.borrow().logs.clone();
        let Some(logs) = logs else {
            return Note::default();
        };
        let key = &known.key;
        let dialled = Peer::new(key.addr, key.port).to_socket_addr();
        logs.begin(self.cookie, request, &known.ready.host, dialled, from)
    }
}

async fn accept(
    listener: TcpListener,
    entrance: Entrance,
    workers: Workers,
    stopped: oneshot::Receiver<Infallible>,
) {
    let lingered = async {
        let _dropped = stopped.await;
        sleep(LINGER).await;
    };
    tokio::pin!(lingered);
    let mut ends = entrance.ends.clone();
    loop {
        tokio::select! {
            () = &mut lingered => return,
            () = ended(&mut ends) => return,
            accepted = listener.accept() => match accepted {
                // Nobody else can reach it, unless the pod has told its kernel to route such addresses.
                Ok((stream, from)) if from.ip().is_loopback() => {
                    let entrance = entrance.clone();
                    workers.serve(stream, move |stream| serve(stream, from, entrance));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, mut entrance: Entrance) {
    let Some(first) = entrance.first().await else {
        return;
    };
    first.connections.fetch_add(1, Ordering::Relaxed);
    // The rules of the connection's own route, as they were last.
    let last = Arc::new(Mutex::new(first));
    let (mut ends, _alive) = (entrance.ends.clone(), entrance.alive.clone());
    let answer = service_fn(move |request: Request<Incoming>| {
        let (entrance, last) = (entrance.clone(), Arc::clone(&last));
        async move {
            let (known, gone) = entrance.now(&last);
            let gone = gone && request.version() != Version::HTTP_2;
            let note = entrance.note(&known, &request, Some(from));
            let mut response = entrance.pod.answer(&known.ready, request, &note).await;
            if gone && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // The next request finds its way by the rules of then.
                let headers = response.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(note.sent(response))
        }
    });
    connection::serve(stream, &mut ends, answer).await;
}
