//! The request proxy: listens inside the pods' network namespaces, and sends each request where the
//! rules of its route say.
//!
//! ```text
//! listeners   one for each route and pod: its address is the route       (door: enters namespaces)
//! workers     the threads that serve what has come in there
//! gate        only requests that can be understood in one way are read   (framing)
//! forward     which rule, which endpoint, what is tried again            (headers, body, local)
//! mirror      copies, beside the live requests
//! note        what is noted of a request for the access log and for metrics
//! tap         copies of what clients send directly, with nobody in between, on a thread that yields
//! tally       who counts answers to copies
//! upstream    connections to endpoints, from the pod's own namespace
//! edge        the node's own ports, where traffic of outside comes in
//! ```
//!
//! Fails open or closed in the kernel: a pod whose listener is not there, or whose agent does not
//! live, is never sent here (`steer_common::logic::decide`).

mod body;
mod connection;
mod cut;
mod door;
mod edge;
mod forward;
mod framing;
mod gate;
mod headers;
mod listeners;
mod local;
mod messages;
mod mirror;
mod note;
mod table;
mod tally;
mod tap;
mod told;
mod upstream;
mod workers;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    num::NonZeroUsize,
    os::fd::BorrowedFd,
    sync::{
        Arc, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use steer_common::service::{ServiceKey, SplitId};
use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    watch,
};

use crate::{
    requests::{Entrance, Route},
    telemetry::{Meter, Recent},
};
use door::Door;
use edge::Closed;
use listeners::Listeners;
pub use mirror::Mirrored;
use mirror::Mirrors;
pub use note::{LoggedClient, Logs};
use table::Table;
pub use table::Used;
use tap::Copier;
pub use tap::{Source as Tap, Take};
pub use told::Told;
use workers::Workers;

/// How long to wait for requests that are under way.
const ENDED_MAX: Duration = Duration::from_secs(5);

/// What is done with each socket before it goes to an endpoint: so that the kernel knows it.
pub type Mark = dyn Fn(BorrowedFd<'_>) -> io::Result<()> + Send + Sync;

/// What is to be served.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The routes, by their splits.
    pub routes: BTreeMap<SplitId, Served>,
    /// To whom.
    pub pods: Vec<Place>,
    /// Whose requests have a line written; nobody's, if there is none.
    pub logs: Option<Arc<Logs>>,
    /// What comes in at the node's own ports.
    pub edge: BTreeMap<u16, Entrance>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Served {
    /// Whose it is: a split may be given to another route once this one is gone.
    pub key: ServiceKey,
    /// What the service is called, for requests that name no host.
    pub host: String,
    /// Its rules.
    pub route: Arc<Route>,
    /// Clients send directly, and the tap hands over what they send.
    pub tapped: bool,
}

/// One pod.
#[derive(Clone, Debug)]
pub struct Place {
    /// The cookie of its network namespace.
    pub cookie: u64,
    /// That namespace; none is the agent's own.
    pub namespace: Option<Arc<File>>,
    /// The routes that it may be sent to.
    pub splits: BTreeSet<SplitId>,
}

/// What the thread is told.
enum Order {
    Serve(Orders),
    End,
}

/// A proxy on threads of its own, which end with it.
pub struct Proxy {
    orders: UnboundedSender<(Order, SyncSender<()>)>,
    mirrors: Arc<Mirrors>,
    table: watch::Receiver<Arc<Table>>,
    closed: Closed,
    made: Recent,
}

impl Proxy {
    /// Starts it, with nothing to serve. Connections are served by so many threads.
    pub fn start(mark: Arc<Mark>, tap: Tap, threads: NonZeroUsize) -> io::Result<Self> {
        let door = Door::start(mark)?;
        let made = door.made.clone();
        let workers = Workers::start(threads)?;
        let mirrors = Arc::new(Mirrors::new());
        let (answered, mut answers) = unbounded_channel();
        let copier = Copier::start(tap, door.clone(), Arc::new(mirrors.beside()), answered)?;
        let counting = Arc::clone(&mirrors);
        let (table, known) = watch::channel(Arc::default());
        let closed = Closed::default();
        let missing = Arc::clone(&closed);
        let (orders, mut wanted) = unbounded_channel::<(Order, SyncSender<()>)>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let run = move || {
            runtime.block_on(async move {
                let copying = Arc::clone(&counting);
                tokio::spawn(async move {
                    while let Some(answers) = answers.recv().await {
                        counting.tally.count(answers);
                    }
                });
                let mut listeners = Listeners::new(door, workers, copying, copier, missing, table);
                loop {
                    tokio::select! {
                        next = wanted.recv() => match next {
                            Some((Order::Serve(orders), done)) => {
                                listeners.follow(orders).await;
                                // Who ordered it need not wait.
                                let _waits = done.send(());
                            }
                            Some((Order::End, done)) => {
                                listeners.end().await;
                                let _waits = done.send(());
                                return;
                            }
                            None => return,
                        },
                        () = listeners.idle() => {}
                    }
                }
            });
        };
        thread::Builder::new()
            .name("steer-proxy".to_owned())
            .spawn(run)?;
        Ok(Self {
            orders,
            mirrors,
            table: known,
            closed,
            made,
        })
    }

    /// Counts copies of requests by this from now on.
    pub fn count_by(&self, meter: Meter) {
        self.mirrors.tally.count_by(meter);
    }

    /// Connections to endpoints that were made lately.
    pub fn made(&self) -> Recent {
        self.made.clone()
    }

    /// What became of copies so far.
    pub fn mirrored(&self) -> Mirrored {
        self.mirrors.counted()
    }

    /// How much came in on each route.
    pub fn used(&self) -> BTreeMap<SplitId, Used> {
        self.table.borrow().used()
    }

    /// How many requests each rule has taken, by route.
    pub fn taken(&self) -> BTreeMap<SplitId, Vec<u64>> {
        self.table.borrow().taken()
    }

    /// The node's own ports that could not be opened, and why.
    pub fn closed(&self) -> BTreeMap<u16, String> {
        let closed = self.closed.lock();
        closed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves this from now on; its listeners are open when it is done. What is under way ends as it
    /// began.
    pub fn serve(&self, orders: Orders) -> Pending {
        self.tell(Order::Serve(orders))
    }

    /// Takes no more connections, and waits a while until requests that are under way are answered. The
    /// kernel must not send any more here.
    pub fn end(&self) {
        let _late = self.tell(Order::End).wait(ENDED_MAX);
    }

    fn tell(&self, order: Order) -> Pending {
        let (done, heard) = sync_channel(1);
        // The thread ends only with this, or when it was told to: then nothing is to be waited for.
        let _ended = self.orders.send((order, done));
        Pending(heard)
    }
}

/// Something that the proxy was told to do, and may not have done yet.
#[must_use]
pub struct Pending(Receiver<()>);

impl Pending {
    /// Waits until it is done, but no longer than this. Where the proxy has ended, nobody will do it.
    pub fn wait(&self, most: Duration) -> Result<(), RecvTimeoutError> {
        self.0.recv_timeout(most)
    }
}
