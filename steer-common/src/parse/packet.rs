//! Packets: from the network header to the ports, and what cannot be judged.

use crate::{
    addr::{Addr, Peer, Port},
    reason::Reason,
};

/// A packet, read by offset. The kernel copies from it.
pub trait Bytes {
    /// Fills `to` from `at` on with words as they stand in memory; false if the packet is shorter.
    /// In place: the kernel's stack has no room for copies.
    fn words<const N: usize>(&self, at: u32, to: &mut [u32; N]) -> bool;
    /// How long it is.
    fn len(&self) -> u32;
    /// Whether it has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A packet in memory.
impl Bytes for &[u8] {
    fn words<const N: usize>(&self, at: u32, to: &mut [u32; N]) -> bool {
        let at = at as usize;
        let Some(bytes) = self.get(at..at.saturating_add(4 * N)) else {
            return false;
        };
        for (word, four) in to.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_ne_bytes(*four);
        }
        true
    }

    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

/// What a packet says of itself. It is filled by a function of its own, and copied in whole words.
#[repr(C, align(8))]
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
    /// TCP's sequence number; what tells one ICMP echo from another.
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

/// Which side of an ICMP echo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Echo {
    /// It asks.
    Request,
    /// It answers.
    Reply,
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

    /// An ICMP echo, as a request or as its reply (RFC 792, RFC 4443).
    #[inline(always)]
    pub const fn echo(&self) -> Option<Echo> {
        match (self.odd, self.proto, self.flags) {
            (0, ICMP, 8) | (0, ICMP6, 128) => Some(Echo::Request),
            (0, ICMP, 0) | (0, ICMP6, 129) => Some(Echo::Reply),
            _ => None,
        }
    }

    /// The identifier of an ICMP echo, where a connection has a port: it is the same in each
    /// request of a `ping`, and in the replies.
    #[inline(always)]
    pub const fn echo_port(&self) -> Port {
        let [high, low, ..] = self.seq.to_be_bytes();
        Port::new(u16::from_be_bytes([high, low]))
    }

    /// ARP's kin in IPv6: neighbour discovery, which no router passes on, and reports of
    /// multicast listeners to the link.
    #[inline(always)]
    pub const fn is_neighbour(&self) -> bool {
        self.proto == ICMP6 && self.odd == 0 && self.hops == 255 && matches!(self.flags, 133..=137)
    }
}

/// Reads the packet whose network header begins at `at` to `to`, which is as `Packet::default()`.
#[inline(always)]
pub fn read<B: Bytes>(bytes: &B, at: u32, to: &mut Packet) -> Result<(), Reason> {
    // As long as the shorter of the two headers.
    let mut ip = [0; 5];
    if !bytes.words(at, &mut ip) {
        return Err(Reason::PacketMalformed);
    }
    match u32::from_be(ip[0]) >> 28 {
        4 => read_v4(bytes, at, &ip, to)?,
        6 => read_v6(bytes, at, &ip, to)?,
        _ => return Err(Reason::PacketMalformed),
    }
    if to.odd == 0 {
        transport(bytes, to)?;
    }
    Ok(())
}

/// RFC 791, section 3.1.
#[inline(always)]
fn read_v4<B: Bytes>(bytes: &B, at: u32, ip: &[u32; 5], to: &mut Packet) -> Result<(), Reason> {
    let [first, second, third, source, target] = *ip;
    let (first, second, third) = (
        u32::from_be(first),
        u32::from_be(second),
        u32::from_be(third),
    );
    let header = (first >> 24 & 0xf) * 4;
    let total = first & 0xffff;
    if header < 20 || total < header || total > bytes.len().saturating_sub(at) {
        return Err(Reason::PacketMalformed);
    }
    if second & 0x3fff != 0 {
        to.odd = ODD_FRAGMENT;
    } else if header != 20 {
        to.odd = ODD_OPTIONS;
    }
    to.source.addr = Addr::from_v4_word(source);
    to.target.addr = Addr::from_v4_word(target);
    to.proto = low(third >> 16);
    to.hops = low(third >> 24);
    to.transport = at + header;
    to.payload = to.transport;
    to.end = at + total;
    Ok(())
}

/// RFC 8200, section 3.
#[inline(always)]
fn read_v6<B: Bytes>(bytes: &B, at: u32, ip: &[u32; 5], to: &mut Packet) -> Result<(), Reason> {
    let mut rest = [0; 5];
    if !bytes.words(at + 20, &mut rest) {
        return Err(Reason::PacketMalformed);
    }
    let second = u32::from_be(ip[1]);
    let length = second >> 16;
    if length + 40 > bytes.len().saturating_sub(at) {
        return Err(Reason::PacketMalformed);
    }
    to.proto = low(second >> 8);
    to.hops = low(second);
    // Hop-by-hop, routing, fragment, encapsulation, authentication, no header, options, mobility,
    // identity, shim, and the two for experiments.
    to.odd = match to.proto {
        44 => ODD_FRAGMENT,
        0 | 43 | 50 | 51 | 59 | 60 | 135 | 139 | 140 | 253 | 254 => ODD_EXTENSION,
        _ => 0,
    };
    to.source.addr = Addr::from_words([ip[2], ip[3], ip[4], rest[0]]);
    to.target.addr = Addr::from_words([rest[1], rest[2], rest[3], rest[4]]);
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
            let mut tcp = [0; 4];
            if room < 20 || !bytes.words(at, &mut tcp) {
                return Err(Reason::PacketMalformed);
            }
            let last = u32::from_be(tcp[3]);
            let header = (last >> 28) * 4;
            if header < 20 || room < header {
                return Err(Reason::PacketMalformed);
            }
            ports(to, tcp[0]);
            to.seq = u32::from_be(tcp[1]);
            to.ack = u32::from_be(tcp[2]);
            to.flags = low(last >> 16);
            to.payload = at + header;
        }
        UDP => {
            let mut udp = [0; 1];
            if room < 8 || !bytes.words(at, &mut udp) {
                return Err(Reason::PacketMalformed);
            }
            ports(to, udp[0]);
            to.payload = at + 8;
        }
        ICMP | ICMP6 => {
            let mut icmp = [0; 2];
            if room < 8 || !bytes.words(at, &mut icmp) {
                return Err(Reason::PacketMalformed);
            }
            to.flags = low(u32::from_be(icmp[0]) >> 24);
            to.seq = u32::from_be(icmp[1]);
        }
        _ => {}
    }
    Ok(())
}

/// The two ports with which the headers of TCP and UDP begin.
#[inline(always)]
fn ports(to: &mut Packet, word: u32) {
    let [a, b, c, d] = word.to_ne_bytes();
    to.source.port = Port::from_be(u16::from_ne_bytes([a, b]));
    to.target.port = Port::from_be(u16::from_ne_bytes([c, d]));
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lowest byte is wanted")]
const fn low(word: u32) -> u8 {
    word as u8
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
