//! Questions about interfaces, to the kernel, in the namespace in which the socket was opened.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd as _},
};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{
        InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    },
    nsid::{NsidAttribute, NsidMessage},
    route::{RouteAttribute, RouteMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::{
    pairs::{InterfaceAddress, Pair},
    uplinks::Interface,
};
use crate::kernel::netns;

/// The kernel marks a list during which something changed; it may lack entries.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// How often such a list is asked for again.
const ATTEMPTS: usize = 8;

/// A socket of the family rtnetlink(7).
pub(super) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// Opens one in the namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// The cookie of the namespace.
    pub(super) fn cookie(&self) -> io::Result<u64> {
        netns::cookie(&self.socket)
    }

    /// The veth and netkit interfaces.
    pub(super) fn pairs(&self) -> io::Result<Vec<Pair>> {
        Ok(self.links()?.iter().filter_map(pair).collect())
    }

    /// All interfaces.
    pub(super) fn interfaces(&self) -> io::Result<Vec<Interface>> {
        Ok(self.links()?.iter().filter_map(interface).collect())
    }

    fn links(&self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = LinkMessage::default();
        let no_statistics = LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]);
        request.attributes.push(no_statistics);
        self.list(&RouteNetlinkMessage::GetLink(request))
    }

    /// The addresses of global scope, in the kernel's order.
    pub(super) fn addresses(&self) -> io::Result<Vec<InterfaceAddress>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.list(&request)?;
        Ok(answers.iter().filter_map(address).collect())
    }

    /// The number that this namespace has for another; none if it never needed one.
    pub(super) fn number_of(&self, namespace: impl AsFd) -> io::Result<Option<i32>> {
        let fd = namespace.as_fd().as_raw_fd().cast_unsigned();
        let mut request = NsidMessage::default();
        request.attributes.push(NsidAttribute::Fd(fd));
        self.send(&RouteNetlinkMessage::GetNsId(request), NLM_F_REQUEST)?;
        let (answers, _) = self.receive(false)?;
        Ok(answers.iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewNsId(found) => {
                found
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        NsidAttribute::Id(number) if *number >= 0 => Some(*number),
                        _ => None,
                    })
            }
            _ => None,
        }))
    }

    /// The interface to which this namespace sends what is for `ip`.
    pub(super) fn interface_to(&self, ip: IpAddr) -> io::Result<Option<u32>> {
        let mut request = RouteMessage::default();
        (
            request.header.address_family,
            request.header.destination_prefix_length,
        ) = match ip {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        request
            .attributes
            .push(RouteAttribute::Destination(ip.into()));
        self.send(&RouteNetlinkMessage::GetRoute(request), NLM_F_REQUEST)?;
        let (answers, _) = self.receive(false)?;
        Ok(answers.iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => {
                route
                    .attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        RouteAttribute::Oif(index) => Some(*index),
                        _ => None,
                    })
            }
            _ => None,
        }))
    }

    fn list(&self, request: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..ATTEMPTS {
            self.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
            let (answers, interrupted) = self.receive(true)?;
            if !interrupted {
                return Ok(answers);
            }
        }
        Err(io::Error::other(
            "interfaces change faster than they can be listed",
        ))
    }

    fn send(&self, request: &RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let payload = NetlinkPayload::from(request.clone());
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
        message.header.flags = flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    /// Reads the answers, and whether something changed meanwhile. A list has an end of its own.
    fn receive(&self, is_list: bool) -> io::Result<(Vec<RouteNetlinkMessage>, bool)> {
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok((answers, interrupted)),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    _ => {}
                }
            }
            if !is_list {
                return Ok((answers, interrupted));
            }
        }
    }
}

fn pair(answer: &RouteNetlinkMessage) -> Option<Pair> {
    let RouteNetlinkMessage::NewLink(link) = answer else {
        return None;
    };
    let mut is_pair = false;
    let mut pair = Pair {
        index: link.header.index,
        peer: 0,
        peer_namespace: None,
        bridge: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Link(peer) => pair.peer = *peer,
            LinkAttribute::Controller(bridge) => pair.bridge = *bridge,
            LinkAttribute::LinkNetNsId(number) => pair.peer_namespace = Some(*number),
            LinkAttribute::LinkInfo(infos) => {
                is_pair = infos
                    .iter()
                    .any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth | InfoKind::Netkit)));
            }
            _ => {}
        }
    }
    is_pair.then_some(pair)
}

fn interface(answer: &RouteNetlinkMessage) -> Option<Interface> {
    let RouteNetlinkMessage::NewLink(link) = answer else {
        return None;
    };
    let flags = link.header.flags;
    let is_ethernet = link.header.link_layer_type == LinkLayerType::Ether;
    let mut found = Interface {
        index: link.header.index,
        carries_frames: is_ethernet
            && flags.contains(LinkFlags::Up)
            && !flags.contains(LinkFlags::Loopback),
        is_dummy: false,
        controller: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Controller(index) => found.controller = *index,
            LinkAttribute::LinkInfo(infos) => {
                let is_dummy = |info| matches!(info, &LinkInfo::Kind(InfoKind::Dummy));
                found.is_dummy = infos.iter().any(is_dummy);
            }
            _ => {}
        }
    }
    Some(found)
}

fn address(answer: &RouteNetlinkMessage) -> Option<InterfaceAddress> {
    let RouteNetlinkMessage::NewAddress(found) = answer else {
        return None;
    };
    if found.header.scope != AddressScope::Universe {
        return None;
    }
    // At a point-to-point interface the address is the other end's, the local one this end's.
    let mut ip = None;
    for attribute in &found.attributes {
        match attribute {
            AddressAttribute::Local(local) => ip = Some(*local),
            AddressAttribute::Address(address) => ip = ip.or(Some(*address)),
            _ => {}
        }
    }
    Some(InterfaceAddress {
        index: found.header.index,
        ip: ip?,
    })
}
