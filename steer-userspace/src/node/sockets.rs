//! What the TCP sockets of a network namespace have sent and received, as `sock_diag(7)` says: the
//! connections themselves are not touched.

use std::{collections::BTreeMap, fs::File, io, net::SocketAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla},
};
use netlink_sys::{Socket, SocketAddr as KernelAddr, protocols::NETLINK_SOCK_DIAG};

use super::{NodeError, connections::Insider, process, visit};
use crate::kernel::netns;

/// Where fields of the kernel's `tcp_info` are (include/uapi/linux/tcp.h): a newer kernel adds behind them.
const RTT: usize = 68;
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;

/// An open connection, as the namespace of one of its ends knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// Its side inside.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
    /// The cookie of its socket.
    pub socket: u64,
    /// Bytes that this side sent and the other acknowledged; the SYN may count as one.
    pub sent: u64,
    /// Bytes that came.
    pub received: u64,
    /// The smoothed round-trip time.
    pub rtt_us: u32,
    /// Its state, as `ss` names it.
    pub state: &'static str,
}

/// Namespaces that are asked, by their cookies.
#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<u64, (Option<Insider>, Socket)>,
}

impl Sockets {
    /// Asks these from now on, and no others. One whose process is gone is left out.
    pub fn follow(&mut self, wanted: &BTreeMap<u64, Insider>) -> Result<(), NodeError> {
        self.open
            .retain(|cookie, (insider, _)| wanted.get(cookie) == insider.as_ref());
        let fresh = wanted
            .iter()
            .filter(|(cookie, _)| !self.open.contains_key(cookie))
            .filter_map(|(&cookie, &insider)| Some((cookie, insider, insider.open().ok()??)));
        let fresh: Vec<(u64, Insider, File)> = fresh.collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let files: Vec<&File> = fresh.iter().map(|(_, _, file)| file).collect();
        let opened = visit::inside(&files, open)?;
        for ((cookie, insider, _), socket) in fresh.iter().zip(opened) {
            if let Ok(socket) = socket {
                self.open.insert(*cookie, (Some(*insider), socket));
            }
        }
        Ok(())
    }

    /// Those of all namespaces of this machine whose cookie is wanted.
    pub fn of(is_wanted: impl Fn(u64) -> bool) -> Result<Self, NodeError> {
        let walk = process::walk()?;
        let first = walk.namespaces.values().filter_map(|pids| pids.first());
        let files = first.filter_map(|pid| File::open(format!("/proc/{pid}/ns/net")).ok());
        let files: Vec<File> = files.collect();
        let opened = visit::inside(&files.iter().collect::<Vec<_>>(), open)?;
        let mut this = Self::default();
        for socket in opened.into_iter().flatten() {
            if let Ok(cookie) = netns::cookie(&socket)
                && is_wanted(cookie)
            {
                this.open.insert(cookie, (None, socket));
            }
        }
        Ok(this)
    }

    /// Whether a namespace is among those.
    pub fn has(&self, namespace: u64) -> bool {
        self.open.contains_key(&namespace)
    }

    /// One connection of a namespace, if it is open still. The kernel finds it without looking at others.
    pub fn one(
        &self,
        namespace: u64,
        local: SocketAddr,
        remote: SocketAddr,
        cookie: u64,
    ) -> Option<Open> {
        let (_, socket) = self.open.get(&namespace)?;
        let (family, mut socket_id) = match local {
            SocketAddr::V4(_) => (AF_INET, SocketId::new_v4()),
            SocketAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
        };
        socket_id.source_address = local.ip();
        socket_id.source_port = local.port();
        socket_id.destination_address = remote.ip();
        socket_id.destination_port = remote.port();
        socket_id.cookie = cookie.to_ne_bytes();
        ask(socket, family, socket_id, NLM_F_REQUEST).ok()?;
        let mut found = Vec::new();
        answers(socket, false, &mut found).ok()?;
        found.pop()
    }

    /// The connections of each that answers.
    pub fn list(&self) -> BTreeMap<u64, Vec<Open>> {
        let all = self.open.iter();
        all.filter_map(|(&cookie, (_, socket))| Some((cookie, list(socket).ok()?)))
            .collect()
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&KernelAddr::new(0, 0))?;
    Ok(socket)
}

fn list(socket: &Socket) -> io::Result<Vec<Open>> {
    let mut all = Vec::new();
    for (family, socket_id) in [
        (AF_INET, SocketId::new_v4()),
        (AF_INET6, SocketId::new_v6()),
    ] {
        ask(socket, family, socket_id, NLM_F_REQUEST | NLM_F_DUMP)?;
        answers(socket, true, &mut all)?;
    }
    Ok(all)
}

fn ask(socket: &Socket, family: u8, socket_id: SocketId, flags: u16) -> io::Result<()> {
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::FIN_WAIT2
            | StateFlags::CLOSE_WAIT
            | StateFlags::LAST_ACK
            | StateFlags::CLOSING,
        socket_id,
    };
    let payload = NetlinkPayload::from(SockDiagMessage::InetRequest(request));
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    Ok(())
}

/// Reads until there is no more, which of a list is said.
fn answers(socket: &Socket, is_list: bool, all: &mut Vec<Open>) -> io::Result<()> {
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                    all.extend(connection(&found));
                }
                _ => {}
            }
        }
        if !is_list {
            return Ok(());
        }
    }
}

fn connection(found: &InetResponse) -> Option<Open> {
    let id = &found.header.socket_id;
    let info = found.nlas.iter().find_map(|attribute| match attribute {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    })?;
    let word = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
    Some(Open {
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        remote: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
        socket: u64::from_ne_bytes(id.cookie),
        sent: long(BYTES_ACKED)?,
        received: long(BYTES_RECEIVED)?,
        rtt_us: word(RTT)?,
        state: state(found.header.state),
    })
}

/// As `ss` names it.
const fn state(number: u8) -> &'static str {
    match number {
        1 => "ESTAB",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        11 => "CLOSING",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn bytes_of_open_connections_are_seen_from_both_sides() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[7; 1_000]).unwrap();
            let mut all = [0; 1_000];
            server.read_exact(&mut all).unwrap();
            let found = list(&open().unwrap()).unwrap();
            let at = |local: SocketAddr| {
                let found = found.iter().find(|one| one.local == local);
                *found.unwrap_or_else(|| panic!("{local} is not among {found:?}"))
            };
            let (own, other) = (client.local_addr().unwrap(), server.local_addr().unwrap());
            assert_eq!(at(own).remote, other);
            let mut all = Sockets::default();
            all.open.insert(7, (None, open().unwrap()));
            let one = all.one(7, own, other, at(own).socket).unwrap();
            assert_eq!((one.local, one.socket), (own, at(own).socket));
            assert!(all.one(7, own, other, at(own).socket + 1_000_000).is_none());
            assert!(all.one(7, other, own, at(own).socket).is_none());
            // The SYN counts as well, and the last acknowledgement may be under way.
            assert!(at(own).sent <= 1_001, "{:?}", at(own));
            assert_eq!((at(other).received, at(own).state), (1_000, "ESTAB"));
        }
    }
}
