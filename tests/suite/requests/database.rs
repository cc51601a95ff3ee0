//! Servers in pods that say whom they see, and clients outside that keep their connections.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc::linger,
    sys::socket::{
        AddressFamily, Shutdown, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt,
        shutdown, socket, sockopt,
    },
};
use steer_tests::pod::Pod;

/// Where the databases listen.
pub(crate) const PORT: u16 = 5432;
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A server in a pod: says who it is and whom it sees, and then what it hears.
pub(crate) struct Database {
    listener: Option<OwnedFd>,
    serving: Option<JoinHandle<()>>,
}

impl Database {
    pub(crate) fn start(pod: &Pod, name: &'static str) -> Result<Self> {
        let listener = pod.in_network(|| Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT))?))?;
        let own = OwnedFd::from(listener.try_clone()?);
        let serving = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                thread::spawn(move || serve(stream, name));
            }
        });
        Ok(Self {
            listener: Some(own),
            serving: Some(serving),
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Whoever waits in accept is told; if not, the process ends soon.
        if let Some(listener) = self.listener.take()
            && shutdown(listener.as_raw_fd(), Shutdown::Both).is_ok()
            && let Some(serving) = self.serving.take()
        {
            let _ended = serving.join();
        }
    }
}

fn serve(mut stream: TcpStream, name: &str) -> std::io::Result<u64> {
    let peer = stream.peer_addr()?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    stream.write_all(format!("{name} {peer}\n").as_bytes())?;
    let mut from = stream.try_clone()?;
    std::io::copy(&mut from, &mut stream)
}

/// A connection from outside, after the first line of whoever answers.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    pub(crate) who: String,
    pub(crate) seen: SocketAddr,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .context("nobody says who it is")?;
        let (who, seen) = line
            .trim_end()
            .split_once(' ')
            .context("a name and a peer")?;
        Ok(Self {
            who: who.to_owned(),
            seen: seen.parse()?,
            reader,
        })
    }

    pub(crate) fn dial(outside: &Pod, to: SocketAddr) -> Result<Self> {
        let stream = outside.in_network(|| Ok(TcpStream::connect_timeout(&to, ANSWER_MAX)?));
        Self::new(stream.with_context(|| format!("dial {to}"))?)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// What is said comes back, over the very connection.
    pub(crate) fn echo(&mut self, word: &str) -> Result<()> {
        writeln!(self.reader.get_mut(), "{word}")?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        ensure!(line.trim_end() == word, "{} says {line:?}", self.who);
        Ok(())
    }

    /// The endpoint sees the client itself, and the client the node.
    pub(crate) fn is_direct(&self) -> Result<bool> {
        Ok(self.seen == self.stream().local_addr()?)
    }
}

/// A connection from a port of the client's choice, which is broken off when it ends: the port is free at
/// once.
pub(crate) fn dial_from(outside: &Pod, from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
    let started = Instant::now();
    outside.in_network(|| {
        loop {
            match bound(from).and_then(|fd| {
                connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
                Ok(TcpStream::from(fd))
            }) {
                // A process that another test just starts holds the last socket until it is another program.
                Err(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) if started.elapsed() < ANSWER_MAX => {
                    thread::sleep(Duration::from_millis(2));
                }
                dialled => return dialled.with_context(|| format!("dial {to} from {from}")),
            }
        }
    })
}

fn bound(from: SocketAddr) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let abort = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&fd, sockopt::Linger, &abort)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
    Ok(fd)
}
