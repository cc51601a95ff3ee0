//! Copies of requests that clients send directly: what the tap hands over is put together again, read as
//! requests, and sent to mirrors. Nobody waits for any of it, and none of it may be in the way of live traffic:
//! it has a thread of its own, which yields to whatever else there is to do. What it does not come to stays in
//! the ring, and the kernel counts what does not fit there.

mod connections;
mod heard;
mod idle;
mod pace;
mod reader;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use steer_common::{service::SplitId, tap::TapHead};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{
            Sender, UnboundedReceiver, UnboundedSender, channel, error::TrySendError,
            unbounded_channel,
        },
        watch,
    },
    time::{Instant, sleep},
};

use super::{
    door::{Door, Namespace},
    mirror::{Lost, Mirrors},
    table::Table,
    tally::Answers,
    upstream::Upstreams,
};
use connections::{Connections, Followed};
use heard::{Heard, Progress, Waiting};
use pace::Pace;
use reader::Reader;

/// Takes a piece of what was tapped.
pub type Take<'a> = dyn FnMut(TapHead, &[u8]) + 'a;
/// Hands over the next piece; false if there is none.
pub type Source = Box<dyn FnMut(&mut Take<'_>) -> bool + Send>;

/// How often the tap is looked at.
const EVERY: Duration = Duration::from_millis(2);
/// How many pieces may wait for those that read them, of all connections together.
const WAITING_MAX: usize = 256;
/// How often connections that say nothing are forgotten.
const AGE_EVERY: Duration = Duration::from_mins(1);
/// How often connections to mirrors that are idle are let go of, and answers are handed over.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What is copied.
pub(super) struct Tapped {
    /// The routes.
    pub(super) splits: BTreeSet<SplitId>,
    /// Whose requests: cookies of namespaces, and the way into them.
    pub(super) pods: Vec<(u64, Namespace)>,
    /// The rules.
    pub(super) table: Arc<Table>,
}

/// Whoever makes the copies. Dropped, it ends.
pub(super) struct Copier {
    orders: UnboundedSender<Tapped>,
}

impl Copier {
    /// Starts its thread, with nothing to copy. What is answered to copies is handed over to `answered`.
    pub(super) fn start(
        source: Source,
        door: Door,
        mirrors: Arc<Mirrors>,
        answered: UnboundedSender<Answers>,
    ) -> io::Result<Self> {
        let (orders, wanted) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let replay = Replay {
            source,
            door,
            mirrors,
            answered,
            orders: wanted,
            room: Arc::new(Semaphore::new(WAITING_MAX)),
            table: watch::Sender::default(),
            splits: BTreeSet::new(),
            pods: BTreeMap::new(),
            connections: Connections::default(),
            aged: Instant::now(),
            tidied: Instant::now(),
        };
        let run = move || {
            if let Err(error) = idle::yield_to_others() {
                tracing::warn!(%error, "copies of requests compete with live traffic for processors");
            }
            runtime.block_on(replay.run());
        };
        thread::Builder::new()
            .name("steer-copies".to_owned())
            .spawn(run)?;
        Ok(Self { orders })
    }

    /// Copies this from now on.
    pub(super) fn follow(&self, tapped: Tapped) {
        // The thread ends only with this.
        let _ended = self.orders.send(tapped);
    }
}

/// Follows the connections of routes that are tapped.
struct Replay {
    source: Source,
    door: Door,
    mirrors: Arc<Mirrors>,
    answered: UnboundedSender<Answers>,
    orders: UnboundedReceiver<Tapped>,
    /// Of pieces that wait.
    room: Arc<Semaphore>,
    table: watch::Sender<Arc<Table>>,
    splits: BTreeSet<SplitId>,
    pods: BTreeMap<u64, Arc<Upstreams>>,
    connections: Connections,
    aged: Instant,
    tidied: Instant,
}

impl Replay {
    async fn run(mut self) {
        let mut pace = Pace::of_this_thread();
        loop {
            let pause = pace.pause();
            let rest = if self.splits.is_empty() {
                TIDY_EVERY
            } else {
                EVERY.max(pause)
            };
            tokio::select! {
                biased;
                next = self.orders.recv() => match next {
                    Some(tapped) => self.follow(tapped),
                    None => return,
                },
                () = sleep(rest) => {}
            }
            self.read(pace.pieces());
            if self.tidied.elapsed() >= TIDY_EVERY {
                self.tidy();
            }
        }
    }

    fn follow(&mut self, tapped: Tapped) {
        let Tapped {
            splits,
            pods,
            table,
        } = tapped;
        self.splits = splits;
        if self.splits.is_empty() {
            self.connections.clear();
        }
        self.table.send_replace(table);
        let mut before = std::mem::take(&mut self.pods);
        self.pods = pods
            .into_iter()
            .map(|(cookie, namespace)| {
                let known = before.remove(&cookie);
                let new = || {
                    let fresh = Upstreams::new(self.door.clone(), namespace, 1);
                    Arc::new(fresh.of(cookie).that_discards())
                };
                (cookie, known.unwrap_or_else(new))
            })
            .collect();
    }

    /// Reads what was handed over meanwhile. What there is no room for stays where it is.
    fn read(&mut self, pieces: usize) {
        for _ in 0..pieces {
            // Each piece that waits may begin a copy.
            let waiting = WAITING_MAX - self.room.available_permits();
            if self.mirrors.free() <= waiting {
                return;
            }
            let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                return;
            };
            let mut next = None;
            if !(self.source)(&mut |head, bytes| next = Some((head, Bytes::copy_from_slice(bytes))))
            {
                return;
            }
            let Some((head, bytes)) = next else { return };
            if !self.splits.contains(&head.split) || !self.pods.contains_key(&head.client) {
                // An order that came before it may still wait.
                self.catch_up();
            }
            if let Some(pod) = self.pods.get(&head.client)
                && self.splits.contains(&head.split)
            {
                let pod = Arc::clone(pod);
                self.take(&head, Waiting { bytes, room }, pod);
            }
        }
    }

    fn catch_up(&mut self) {
        // That nobody sends any more is seen by whoever waits for it.
        while let Ok(tapped) = self.orders.try_recv() {
            self.follow(tapped);
        }
    }

    fn tidy(&mut self) {
        self.tidied = Instant::now();
        if self.aged.elapsed() >= AGE_EVERY {
            self.aged = Instant::now();
            self.connections.age();
        }
        self.pods.values().for_each(|pod| pod.tidy());
        let answers = self.mirrors.tally.take();
        if !answers.is_empty() {
            // The proxy may have ended.
            let _ended = self.answered.send(answers);
        }
    }

    fn take(&mut self, head: &TapHead, waiting: Waiting, upstreams: Arc<Upstreams>) {
        let Waiting { bytes, room } = waiting;
        let found = self.connections.speaks(head.socket);
        match found.progress.take(head.seq, bytes) {
            Heard::Nothing => {}
            Heard::Other => {
                found.pieces = None;
                self.mirrors.lose(Lost::OtherProtocol);
            }
            Heard::Missing => found.pieces = None,
            Heard::Begins(bytes) => {
                let piece = Waiting { bytes, room };
                // What is left of a request before it ends here, as one that is cut.
                let (pieces, wanted) = channel(WAITING_MAX);
                let reader = Reader {
                    split: head.split,
                    upstreams,
                    table: self.table.subscribe(),
                    mirrors: Arc::clone(&self.mirrors),
                };
                tokio::spawn(reader.read(wanted));
                found.send(pieces, piece, &self.mirrors);
            }
            Heard::Goes(bytes) => {
                let piece = Waiting { bytes, room };
                if let Some(pieces) = found.pieces.take() {
                    found.send(pieces, piece, &self.mirrors);
                }
            }
        }
    }
}

impl Followed {
    fn send(&mut self, pieces: Sender<Waiting>, piece: Waiting, mirrors: &Mirrors) {
        match pieces.try_send(piece) {
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
