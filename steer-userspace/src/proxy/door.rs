//! Sockets in other network namespaces, opened by a thread that goes there and comes back.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt},
};
use tokio::sync::oneshot;

use super::Mark;
use crate::telemetry::Recent;

/// A namespace; none is the agent's own.
pub(super) type Namespace = Option<Arc<File>>;

/// The way to that thread.
#[derive(Clone)]
pub(super) struct Door {
    jobs: Sender<Job>,
    /// Connections that were made there lately.
    pub(super) made: Recent,
    /// Since when.
    pub(super) started: Instant,
}

struct Job {
    namespace: Namespace,
    what: What,
    answer: oneshot::Sender<io::Result<OwnedFd>>,
}

#[derive(Clone, Copy)]
enum What {
    Listener(SocketAddr),
    Stream(SocketAddr),
}

impl Door {
    /// Starts the thread, in the namespace of the calling one.
    pub(super) fn start(mark: Arc<Mark>) -> io::Result<Self> {
        let home = File::open("/proc/thread-self/ns/net")?;
        let (jobs, wanted) = channel();
        thread::Builder::new()
            .name("steer-door".to_owned())
            .spawn(move || work(&wanted, &home, &*mark))?;
        Ok(Self {
            jobs,
            made: Recent::default(),
            started: Instant::now(),
        })
    }

    /// Listens there.
    pub(super) async fn listen(
        &self,
        namespace: &Namespace,
        at: SocketAddr,
    ) -> io::Result<tokio::net::TcpListener> {
        let socket = TcpListener::from(self.ask(namespace, What::Listener(at)).await?);
        tokio::net::TcpListener::from_std(socket)
    }

    /// Connects from there.
    pub(super) async fn connect(
        &self,
        namespace: &Namespace,
        to: SocketAddr,
    ) -> io::Result<tokio::net::TcpStream> {
        let socket = self.ask(namespace, What::Stream(to)).await?;
        let socket = tokio::net::TcpSocket::from_std_stream(socket.into());
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn ask(&self, namespace: &Namespace, what: What) -> io::Result<OwnedFd> {
        let (answer, opened) = oneshot::channel();
        let job = Job {
            namespace: namespace.clone(),
            what,
            answer,
        };
        let ended = || io::Error::other("the thread that enters namespaces has ended");
        self.jobs.send(job).map_err(|_| ended())?;
        opened.await.map_err(|_| ended())?
    }
}

fn work(wanted: &Receiver<Job>, home: &File, mark: &Mark) {
    while let Ok(job) = wanted.recv() {
        let opened = match &job.namespace {
            None => open(job.what, mark),
            Some(there) => {
                let opened = setns(there, CloneFlags::CLONE_NEWNET)
                    .map_err(io::Error::from)
                    .and_then(|()| open(job.what, mark));
                // A namespace lives as long as a thread is in it.
                if let Err(error) = setns(home, CloneFlags::CLONE_NEWNET) {
                    tracing::error!(%error, "the thread that enters namespaces cannot come back");
                    return;
                }
                opened
            }
        };
        // Who asked may have gone.
        let _gone = job.answer.send(opened);
    }
}

fn open(what: What, mark: &Mark) -> io::Result<OwnedFd> {
    match what {
        What::Listener(at) => {
            let listener = TcpListener::bind(at)?;
            // Connections have it from their listener. Without it answers wait for acknowledgements.
            setsockopt(&listener, sockopt::TcpNoDelay, &true)?;
            listener.set_nonblocking(true)?;
            Ok(listener.into())
        }
        What::Stream(to) => {
            let family = if to.is_ipv4() {
                AddressFamily::Inet
            } else {
                AddressFamily::Inet6
            };
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let stream = socket(family, SockType::Stream, flags, None)?;
            mark(stream.as_fd())?;
            Ok(stream)
        }
    }
}
