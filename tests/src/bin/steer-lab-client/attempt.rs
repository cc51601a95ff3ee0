//! One attempt: the system calls, timed.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect,
            getpeername, getsockname, recv, recvfrom, send, sendto, setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal, TimeValLike as _},
    },
    time::{ClockId, clock_gettime},
};
use steer_tests::client::{Attempt, Call, Manner};

/// What a client says over UDP.
const HELLO: &[u8] = b"who\n";

/// How attempts are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialler {
    pub(crate) manner: Manner,
    pub(crate) mapped: bool,
    pub(crate) mute: bool,
    pub(crate) timeout: Duration,
}

/// What an attempt found out before it ended or failed.
#[derive(Default)]
struct Found {
    connect_ns: u64,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    text: Option<String>,
}

type Failure = (Call, Errno);

impl Dialler {
    /// Dials `target` once.
    pub(crate) fn attempt(
        &self,
        thread: u32,
        n: u64,
        target: SocketAddr,
        source: Option<IpAddr>,
    ) -> Attempt {
        let mut found = Found::default();
        let start_ns = now();
        let outcome = self.dial(target, source, &mut found);
        Attempt {
            thread,
            n,
            target,
            start_ns,
            connect_ns: found.connect_ns,
            total_ns: now() - start_ns,
            peer: found.peer,
            local: found.local,
            text: found.text,
            error: outcome.err().map(name),
            failed: outcome.err().map(|(call, _)| call),
        }
    }

    fn dial(
        &self,
        target: SocketAddr,
        source: Option<IpAddr>,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let dialled = self.on_the_wire(target);
        let fd = self
            .open(dialled, source)
            .map_err(|errno| (Call::Socket, errno))?;
        let address = SockaddrStorage::from(dialled);
        let started = now();
        match self.manner {
            Manner::Tcp | Manner::UdpConnected => {
                let connected = connect(fd.as_raw_fd(), &address);
                found.connect_ns = now() - started;
                connected.map_err(|errno| (Call::Connect, errno))?;
                found.peer = getpeername(fd.as_raw_fd())
                    .ok()
                    .and_then(|peer| std_address(&peer));
            }
            Manner::Udp => {
                let sent = sendto(fd.as_raw_fd(), HELLO, &address, MsgFlags::empty());
                found.connect_ns = now() - started;
                sent.map_err(|errno| (Call::Send, errno))?;
            }
        }
        if self.manner == Manner::UdpConnected {
            let sent = send(fd.as_raw_fd(), HELLO, MsgFlags::empty());
            sent.map_err(|errno| (Call::Send, errno))?;
        }
        found.local = getsockname(fd.as_raw_fd())
            .ok()
            .and_then(|local| std_address(&local));
        if self.mute {
            Ok(())
        } else {
            self.listen(&fd, found)
        }
    }

    /// Reads the server's line.
    fn listen(&self, fd: &OwnedFd, found: &mut Found) -> Result<(), Failure> {
        let mut buffer = [0u8; 256];
        let failed = |errno| (Call::Receive, errno);
        let length = if self.manner == Manner::Udp {
            let (length, from) =
                recvfrom::<SockaddrStorage>(fd.as_raw_fd(), &mut buffer).map_err(failed)?;
            found.peer = from.as_ref().and_then(std_address);
            length
        } else {
            recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).map_err(failed)?
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        // A line comes in one piece: it is far shorter than any segment.
        found.text = (length > 0).then(|| text.trim_end().to_owned());
        Ok(())
    }

    fn open(&self, dialled: SocketAddr, source: Option<IpAddr>) -> nix::Result<OwnedFd> {
        let family = if dialled.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let kind = match self.manner {
            Manner::Tcp => SockType::Stream,
            Manner::Udp | Manner::UdpConnected => SockType::Datagram,
        };
        let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
        let millis = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let timeout = TimeVal::milliseconds(millis);
        // A send timeout bounds connect as well.
        setsockopt(&fd, sockopt::SendTimeout, &timeout)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &timeout)?;
        if self.manner == Manner::Tcp {
            // Closing resets: no port is left in TIME_WAIT, so a storm does not run out of them.
            let at_once = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&fd, sockopt::Linger, &at_once)?;
        }
        if let Some(source) = source {
            if self.manner == Manner::Tcp {
                setsockopt(&fd, sockopt::IpBindAddressNoPort, &true)?;
            }
            let source = self.on_the_wire(SocketAddr::new(source, 0));
            bind(fd.as_raw_fd(), &SockaddrStorage::from(source))?;
        }
        Ok(fd)
    }

    /// The address as the socket takes it.
    fn on_the_wire(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(v4) if self.mapped => {
                let mapped: Ipv6Addr = v4.to_ipv6_mapped();
                SocketAddr::new(mapped.into(), address.port())
            }
            _ => address,
        }
    }
}

/// A call that ran into the client's own timeout says so in the words of non-blocking sockets.
fn name((call, errno): Failure) -> String {
    match (call, errno) {
        (Call::Connect, Errno::EINPROGRESS) | (Call::Send | Call::Receive, Errno::EAGAIN) => {
            "TIMEOUT".to_owned()
        }
        _ => format!("{errno:?}"),
    }
}

fn std_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    u64::try_from(time.num_nanoseconds()).unwrap_or_default()
}
