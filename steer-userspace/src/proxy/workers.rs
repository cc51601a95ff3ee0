//! Threads that serve connections, each from its first byte to its last on one of them: what belongs to a connection
//! stays with the processor that has it in its cache.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
};

thread_local! {
    /// Which of them this thread is; others count as the first.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    /// What it serves.
    static LOAD: RefCell<Load> = RefCell::default();
}

/// Which of them this thread is.
pub(super) fn number() -> usize {
    NUMBER.get()
}

/// Weighs on this thread as a connection does: what a connection became that is served no more.
pub(super) fn weight() -> Weight {
    LOAD.with_borrow(Load::weight)
}

/// Begins something on a thread.
type Job = Box<dyn FnOnce() + Send>;

/// The threads. The first is that of whoever accepts; the others end when this is gone, and what they serve with them.
#[derive(Clone)]
pub(super) struct Workers {
    own: Load,
    others: Arc<[Worker]>,
    /// Of those that have equally few, each has its turn.
    turn: Arc<AtomicUsize>,
}

struct Worker {
    jobs: UnboundedSender<Job>,
    load: Load,
}

/// How many connections a thread has.
#[derive(Clone, Default)]
struct Load(Arc<AtomicUsize>);

/// Counts as one as long as it is there.
pub(super) struct Weight(Load);

impl Load {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn weight(&self) -> Weight {
        self.0.fetch_add(1, Ordering::Relaxed);
        Weight(self.clone())
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// So many threads, with the calling one.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let others = (1..count.get()).map(Worker::start);
        let own = Load::default();
        LOAD.set(own.clone());
        Ok(Self {
            own,
            others: others.collect::<io::Result<_>>()?,
            turn: Arc::default(),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// Has a connection served by the thread that has the fewest. Called on the first of them.
    pub(super) fn serve<F>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        match self.least() {
            Some(worker) => worker.serve(stream, serve),
            None => spawn(self.own.weight(), serve(stream)),
        }
    }

    /// The thread that has the fewest; none is the first.
    fn least(&self) -> Option<&Worker> {
        let count = self.count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let all = (0..count).map(|at| turn.wrapping_add(at) % count);
        let all = all.map(|number| number.checked_sub(1).and_then(|at| self.others.get(at)));
        all.min_by_key(|worker| worker.map_or(self.own.get(), Worker::load))
            .flatten()
    }

    /// Waits until the others have begun what they were given.
    pub(super) async fn catch_up(&self) {
        for worker in self.others.iter() {
            let (done, begun) = oneshot::channel();
            let job = move || {
                let _waits = done.send(());
            };
            if worker.jobs.send(Box::new(job)).is_ok() {
                let _ended = begun.await;
            }
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let (jobs, wanted) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let load = Load::default();
        let its = load.clone();
        let run = move || {
            NUMBER.set(number);
            LOAD.set(its);
            runtime.block_on(work(wanted));
        };
        thread::Builder::new()
            .name(format!("steer-proxy-{number}"))
            .spawn(run)?;
        Ok(Self { jobs, load })
    }

    /// How many connections it has; too many, if it has ended.
    fn load(&self) -> usize {
        if self.jobs.is_closed() {
            usize::MAX
        } else {
            self.load.get()
        }
    }

    fn serve<F>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let weight = self.load.weight();
        // Whoever waits for its bytes is that thread from now on.
        let moved = stream.into_std();
        let job = move || match moved.and_then(TcpStream::from_std) {
            Ok(stream) => spawn(weight, serve(stream)),
            Err(error) => tracing::warn!(%error, "a connection could not be served"),
        };
        // The thread ends only with this.
        let _ended = self.jobs.send(Box::new(job));
    }
}

async fn work(mut wanted: UnboundedReceiver<Job>) {
    while let Some(job) = wanted.recv().await {
        job();
    }
}

fn spawn(weight: Weight, served: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        let _weight = weight;
        served.await;
    });
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::Ipv4Addr};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Says on which thread it is, and stays until the client goes.
    async fn say(mut stream: TcpStream) {
        let number = u8::try_from(number()).unwrap();
        stream.write_all(&[number]).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }

    #[tokio::test]
    async fn each_thread_has_its_share() {
        let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        let mut found = Vec::new();
        for _ in 0..6 {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            workers.serve(stream, say);
            found.push(client.read_u8().await.unwrap());
            clients.push(client);
        }
        for three in found.chunks(3) {
            assert_eq!(three.iter().collect::<BTreeSet<_>>().len(), 3, "{found:?}");
        }
        // Who has gone leaves room.
        let first = found.iter().position(|&number| number == 1).unwrap();
        drop(clients.swap_remove(first));
        while workers.others[0].load.get() > 1 {
            tokio::task::yield_now().await;
        }
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        workers.serve(stream, say);
        assert_eq!(client.read_u8().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_a_connection_became_weighs_as_much() {
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let other = &workers.others[0];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (done, mut gone) = oneshot::channel();
        other.serve(stream, move |mut stream| async move {
            let weight = weight();
            tokio::spawn(async move {
                stream.write_all(b"!").await.unwrap();
                stream.read_to_end(&mut Vec::new()).await.unwrap();
                drop(weight);
                done.send(()).unwrap();
            });
        });
        client.read_u8().await.unwrap();
        workers.catch_up().await;
        assert_eq!((other.load(), workers.own.get()), (1, 0));
        assert!(gone.try_recv().is_err());
        drop(client);
        gone.await.unwrap();
        assert_eq!(other.load(), 0);
        let weight = weight();
        assert_eq!(workers.own.get(), 1);
        drop(weight);
    }

    #[tokio::test]
    async fn those_that_have_none_take_turns() {
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let is_own = |_| workers.least().is_none();
        assert_eq!(
            (0..4).map(is_own).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        workers.catch_up().await;
    }
}
