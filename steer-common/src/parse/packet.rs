//! Packets: from the network header to the ports, and what cannot be judged.

use crate::{
    addr::{Addr, Peer, Port},
    reason::Reason,
};

/// A packet, read by offset. The kernel copies from it, tests have it in memory.
pub trait Bytes {
    /// Fills `to` from `at` on; false if the packet is shorter. In place: the kernel's stack has no
    /// room for copies.
    fn load<const N: usize>(&self, at: u32, to: &mut [u8; N]) -> bool;
    /// How long it is.
    fn len(&self) -> u32;
    /// Whether it has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a packet says of itself. Of whole words: it is filled by a function of its own.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// From.
    pub source: Peer,
    /// To.
    pub target: Peer,
    /// IANA's protocol number.
    pub proto: u8,
    /// TCP's flags; the type of an ICMP message.
    pub flags: u8,
    /// Hops it may still take.
    pub hops: u8,
    /// Not 0 if it is part of a fragmented one, or has options or extension headers.
    pub odd: u8,
    /// TCP's sequence number.
    pub seq: u32,
    /// TCP's acknowledgement.
    pub ack: u32,
    /// Where the transport's header begins.
    pub transport: u32,
    /// Where what it carries begins.
    pub payload: u32,
    /// Where it ends: behind that, frames may be padded.
    pub end: u32,
}

/// It is a fragment.
pub const ODD_FRAGMENT: u8 = 1;
/// It has IP options.
pub const ODD_OPTIONS: u8 = 2;
/// It has IPv6 extension headers.
pub const ODD_EXTENSION: u8 = 3;

/// Synchronise.
pub const TCP_SYN: u8 = 0x02;
/// Reset.
pub const TCP_RST: u8 = 0x04;
/// Acknowledge.
pub const TCP_ACK: u8 = 0x10;
/// Finish.
pub const TCP_FIN: u8 = 0x01;

/// IANA's numbers.
pub const ICMP: u8 = 1;
/// Transmission Control Protocol.
pub const TCP: u8 = 6;
/// User Datagram Protocol.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMP6: u8 = 58;

impl Packet {
    /// A SYN that opens a connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.proto == TCP && self.flags & (TCP_SYN | TCP_ACK) == TCP_SYN
    }

    /// How many bytes it carries.
    #[inline(always)]
    pub const fn carried(&self) -> u32 {
        self.end.saturating_sub(self.payload)
    }

    /// Why it cannot be judged by its ports, if so.
    #[inline(always)]
    pub const fn oddity(&self) -> Option<Reason> {
        match self.odd {
            0 => None,
            ODD_FRAGMENT => Some(Reason::Fragment),
            ODD_OPTIONS => Some(Reason::IpOptions),
            _ => Some(Reason::ExtensionHeader),
        }
    }

    /// ARP's kin in IPv6: neighbour discovery, which no router passes on, and reports of
    /// multicast listeners to the link.
    #[inline(always)]
    pub const fn is_neighbour(&self) -> bool {
        self.proto == ICMP6 && self.odd == 0 && self.hops == 255 && matches!(self.flags, 133..=137)
    }
}

/// Reads the packet whose network header begins at `at` to `to`.
#[inline(always)]
pub fn read<B: Bytes>(bytes: &B, at: u32, to: &mut Packet) -> Result<(), Reason> {
    *to = Packet::default();
    let mut first = [0];
    if !bytes.load(at, &mut first) {
        return Err(Reason::PacketMalformed);
    }
    match first[0] >> 4 {
        4 => read_v4(bytes, at, to)?,
        6 => read_v6(bytes, at, to)?,
        _ => return Err(Reason::PacketMalformed),
    }
    if to.odd == 0 {
        transport(bytes, to)?;
    }
    Ok(())
}

#[inline(always)]
fn read_v4<B: Bytes>(bytes: &B, at: u32, to: &mut Packet) -> Result<(), Reason> {
    let mut ip = [0; 20];
    if !bytes.load(at, &mut ip) {
        return Err(Reason::PacketMalformed);
    }
    let header = u32::from(ip[0] & 0xf) * 4;
    let total = u32::from(u16::from_be_bytes([ip[2], ip[3]]));
    if header < 20 || total < header || total > bytes.len().saturating_sub(at) {
        return Err(Reason::PacketMalformed);
    }
    if u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
        to.odd = ODD_FRAGMENT;
    } else if header != 20 {
        to.odd = ODD_OPTIONS;
    }
    to.source.addr = v4(&ip, 12);
    to.target.addr = v4(&ip, 16);
    to.proto = ip[9];
    to.hops = ip[8];
    to.transport = at + header;
    to.payload = to.transport;
    to.end = at + total;
    Ok(())
}

#[inline(always)]
fn read_v6<B: Bytes>(bytes: &B, at: u32, to: &mut Packet) -> Result<(), Reason> {
    // In two parts: an array of more than 32 bytes is cleared by a call, byte by byte.
    let (mut ip, mut target) = ([0; 24], [0; 16]);
    if !bytes.load(at, &mut ip) || !bytes.load(at + 24, &mut target) {
        return Err(Reason::PacketMalformed);
    }
    let length = u32::from(u16::from_be_bytes([ip[4], ip[5]]));
    if length + 40 > bytes.len().saturating_sub(at) {
        return Err(Reason::PacketMalformed);
    }
    // Hop-by-hop, routing, fragment, encapsulation, authentication, no header, options, mobility,
    // identity, shim, and the two for experiments.
    to.odd = match ip[6] {
        44 => ODD_FRAGMENT,
        0 | 43 | 50 | 51 | 59 | 60 | 135 | 139 | 140 | 253 | 254 => ODD_EXTENSION,
        _ => 0,
    };
    to.source.addr = v6(&ip, 8);
    to.target.addr = v6(&target, 0);
    to.proto = ip[6];
    to.hops = ip[7];
    to.transport = at + 40;
    to.payload = to.transport;
    to.end = to.transport + length;
    Ok(())
}

#[inline(always)]
fn transport<B: Bytes>(bytes: &B, to: &mut Packet) -> Result<(), Reason> {
    let at = to.transport;
    let room = to.end.saturating_sub(at);
    match to.proto {
        TCP => {
            if room < 20 {
                return Err(Reason::PacketMalformed);
            }
            let mut tcp = [0; 14];
            if !bytes.load(at, &mut tcp) {
                return Err(Reason::PacketMalformed);
            }
            let header = u32::from(tcp[12] >> 4) * 4;
            if header < 20 || room < header {
                return Err(Reason::PacketMalformed);
            }
            to.source.port = port(tcp[0], tcp[1]);
            to.target.port = port(tcp[2], tcp[3]);
            to.seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            to.ack = u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]);
            to.flags = tcp[13];
            to.payload = at + header;
        }
        UDP => {
            if room < 8 {
                return Err(Reason::PacketMalformed);
            }
            let mut udp = [0; 4];
            if !bytes.load(at, &mut udp) {
                return Err(Reason::PacketMalformed);
            }
            to.source.port = port(udp[0], udp[1]);
            to.target.port = port(udp[2], udp[3]);
            to.payload = at + 8;
        }
        ICMP | ICMP6 => {
            if room < 4 {
                return Err(Reason::PacketMalformed);
            }
            let mut kind = [0];
            if !bytes.load(at, &mut kind) {
                return Err(Reason::PacketMalformed);
            }
            to.flags = kind[0];
        }
        _ => {}
    }
    Ok(())
}

#[inline(always)]
fn port(high: u8, low: u8) -> Port {
    Port::new(u16::from_be_bytes([high, low]))
}

#[inline(always)]
fn word<const N: usize>(ip: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]])
}

#[inline(always)]
fn v4(ip: &[u8; 20], at: usize) -> Addr {
    Addr::from_v4_word(word(ip, at))
}

#[inline(always)]
fn v6<const N: usize>(ip: &[u8; N], at: usize) -> Addr {
    Addr::from_words([
        word(ip, at),
        word(ip, at + 4),
        word(ip, at + 8),
        word(ip, at + 12),
    ])
}

const _: () = assert!(size_of::<Packet>() == 64);

/// Spreads bits; for hashes of what clients send, with a prime of FNV's kind.
#[inline(always)]
pub(super) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_mul(0x0000_0100_0000_01b3);
    value ^ value >> 29
}

#[cfg(test)]
mod tests;
