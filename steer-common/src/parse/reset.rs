//! The answer to a refused TCP packet: a reset, as if the other side had sent it.

use super::packet::{Packet, TCP, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};

/// Length of an IPv4 reset.
pub const LEN_V4: usize = 40;
/// Length of an IPv6 reset.
pub const LEN_V6: usize = 60;

/// The packet from the network header on; the first `LEN_V4` or `LEN_V6` bytes count.
#[inline(always)]
pub fn reset(packet: &Packet, out: &mut [u8; LEN_V6]) {
    let mut sum = u32::from(TCP) + 20;
    if packet.target.addr.is_v4() {
        out[0] = 0x45;
        out[3] = 40;
        out[6] = 0x40;
        out[8] = 64;
        out[9] = TCP;
        put(out, 12, packet.target.addr.v4_word());
        put(out, 16, packet.source.addr.v4_word());
        let header = fold(add(out, 0, 20, 0));
        out[10..12].copy_from_slice(&header);
        sum = add(out, 12, 20, sum);
        tcp(packet, out, 20, sum);
    } else {
        out[0] = 0x60;
        out[5] = 20;
        out[6] = TCP;
        out[7] = 64;
        let (from, to) = (packet.target.addr.words(), packet.source.addr.words());
        let mut index = 0;
        while index < 4 {
            put(out, 8 + index * 4, from[index]);
            put(out, 24 + index * 4, to[index]);
            index += 1;
        }
        sum = add(out, 8, 40, sum);
        tcp(packet, out, 40, sum);
    }
}

/// RFC 9293, section 3.5.2: if it acknowledges, the reset has that number; else it acknowledges all
/// that the packet carries.
#[inline(always)]
fn tcp(packet: &Packet, out: &mut [u8; LEN_V6], at: usize, sum: u32) {
    let flags = |flag: u8| u32::from(packet.flags & flag != 0);
    let (seq, ack, flag) = if packet.flags & TCP_ACK != 0 {
        (packet.ack, 0, TCP_RST)
    } else {
        let length = packet.carried() + flags(TCP_SYN) + flags(TCP_FIN);
        (0, packet.seq.wrapping_add(length), TCP_RST | TCP_ACK)
    };
    out[at..at + 2].copy_from_slice(&packet.target.port.be().to_ne_bytes());
    out[at + 2..at + 4].copy_from_slice(&packet.source.port.be().to_ne_bytes());
    put(out, at + 4, seq.to_be());
    put(out, at + 8, ack.to_be());
    out[at + 12] = 0x50;
    out[at + 13] = flag;
    let sum = fold(add(out, at, at + 20, sum));
    out[at + 16..at + 18].copy_from_slice(&sum);
}

#[inline(always)]
fn put(out: &mut [u8; LEN_V6], at: usize, word: u32) {
    out[at..at + 4].copy_from_slice(&word.to_ne_bytes());
}

/// Adds 16-bit words to a sum in ones' complement.
#[inline(always)]
fn add(bytes: &[u8; LEN_V6], from: usize, to: usize, mut sum: u32) -> u32 {
    let mut at = from;
    while at < to {
        sum += u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        at += 2;
    }
    sum
}

#[inline(always)]
const fn fold(mut sum: u32) -> [u8; 2] {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::addr::{Peer, Port};

    fn refused(from: &str, to: &str, flags: u8) -> Packet {
        let peer =
            |addr: &str, port| Peer::new(addr.parse::<IpAddr>().unwrap().into(), Port::new(port));
        Packet {
            source: peer(from, 1000),
            target: peer(to, 443),
            proto: TCP,
            flags,
            seq: 7,
            ack: 9,
            payload: 40,
            end: 43,
            ..Packet::default()
        }
    }

    /// The sum over what is right, its checksum among it, has all bits set.
    fn sums_up(bytes: &[u8; LEN_V6], from: usize, to: usize, sum: u32) {
        assert_eq!(fold(add(bytes, from, to, sum)), [0, 0]);
    }

    #[test]
    fn checksums_hold_in_both_families() {
        for flags in [TCP_SYN, TCP_ACK, TCP_ACK | TCP_FIN] {
            let mut out = [0; LEN_V6];
            reset(&refused("10.0.0.1", "192.0.2.7", flags), &mut out);
            sums_up(&out, 0, 20, 0);
            sums_up(&out, 12, 40, u32::from(TCP) + 20);
            assert_eq!(out[12..20], [192, 0, 2, 7, 10, 0, 0, 1]);
            assert_eq!(out[20..24], [1, 0xbb, 0x03, 0xe8]);
            let mut out = [0; LEN_V6];
            reset(&refused("fd00::1", "2001:db8::7", flags), &mut out);
            sums_up(&out, 8, 60, u32::from(TCP) + 20);
        }
    }

    #[test]
    fn a_syn_is_acknowledged_and_anything_else_is_answered_where_it_stands() {
        let numbers = |flags| {
            let mut out = [0; LEN_V6];
            reset(&refused("10.0.0.1", "192.0.2.7", flags), &mut out);
            let word = |at: usize| u32::from_be_bytes(out[at..at + 4].try_into().unwrap());
            (word(24), word(28), out[33])
        };
        assert_eq!(numbers(TCP_SYN), (0, 7 + 3 + 1, TCP_RST | TCP_ACK));
        assert_eq!(numbers(TCP_ACK), (9, 0, TCP_RST));
    }
}
