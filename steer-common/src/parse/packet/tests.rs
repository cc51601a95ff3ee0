use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Result<Packet, Reason> {
    let mut packet = Packet::default();
    read(&bytes, 0, &mut packet).map(|()| packet)
}

fn v4_packet(proto: u8, options: usize, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + options + body.len()).unwrap();
    let mut out = vec![0x45 + u8::try_from(options / 4).unwrap(), 0];
    out.extend(length.to_be_bytes());
    out.extend([0, 1, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7]);
    out.extend(vec![1; options]);
    out.extend(body);
    out
}

fn v6_packet(proto: u8, hops: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend([proto, hops]);
    for address in ["fd00::1", "2001:db8::7"] {
        let address: std::net::Ipv6Addr = address.parse().unwrap();
        out.extend(address.octets());
    }
    out.extend(body);
    out
}

/// Port 1000 to 443, sequence number 7, a header of 24 bytes.
fn tcp(flags: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x03, 0xe8, 0x01, 0xbb, 0, 0, 0, 7, 0, 0, 0, 9, 0x60, flags];
    out.extend([0; 10]);
    out.extend(data);
    out
}

#[test]
fn tcp_of_both_families() {
    let packets = [
        v4_packet(TCP, 0, &tcp(TCP_SYN, b"abc")),
        v6_packet(TCP, 64, &tcp(TCP_SYN, b"abc")),
    ];
    let addresses = [("10.0.0.1", "192.0.2.7"), ("fd00::1", "2001:db8::7")];
    for (mut bytes, (from, to)) in packets.into_iter().zip(addresses) {
        // A frame may be padded.
        bytes.extend([0; 9]);
        let packet = parse(&bytes).unwrap();
        let peer =
            |addr: &str, port| Peer::new(addr.parse::<IpAddr>().unwrap().into(), Port::new(port));
        assert_eq!(packet.source, peer(from, 1000));
        assert_eq!(packet.target, peer(to, 443));
        assert_eq!((packet.seq, packet.ack, packet.carried()), (7, 9, 3));
        assert!(packet.opens() && packet.oddity().is_none());
        assert_eq!(&bytes[packet.payload as usize..packet.end as usize], b"abc");
    }
}

#[test]
fn what_cannot_be_judged_says_so() {
    let body = tcp(TCP_SYN, b"");
    let odd = |bytes: &[u8]| parse(bytes).unwrap().oddity();
    assert_eq!(odd(&v4_packet(TCP, 4, &body)), Some(Reason::IpOptions));
    for fragment in [[0x20, 0], [0, 1], [0x3f, 0xff]] {
        let mut bytes = v4_packet(TCP, 0, &body);
        bytes[6..8].copy_from_slice(&fragment);
        assert_eq!(odd(&bytes), Some(Reason::Fragment));
    }
    let mut whole = v4_packet(TCP, 0, &body);
    // "Do not fragment" is no fragment.
    whole[6] = 0x40;
    assert_eq!(odd(&whole), None);
    assert_eq!(odd(&v6_packet(44, 64, &body)), Some(Reason::Fragment));
    for header in [0, 43, 50, 51, 59, 60, 135] {
        assert_eq!(
            odd(&v6_packet(header, 64, &body)),
            Some(Reason::ExtensionHeader)
        );
    }
}

#[test]
fn what_is_too_short_is_malformed() {
    let whole = v4_packet(TCP, 0, &tcp(TCP_ACK, b""));
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length]), Err(Reason::PacketMalformed));
    }
    for (proto, least) in [(TCP, 20), (UDP, 8), (ICMP, 8)] {
        let body = vec![0x60; least - 1];
        assert_eq!(
            parse(&v4_packet(proto, 0, &body)),
            Err(Reason::PacketMalformed)
        );
    }
    let mut wrong = whole.clone();
    wrong[0] = 0x55;
    assert_eq!(parse(&wrong), Err(Reason::PacketMalformed));
    wrong[0] = 0x44;
    assert_eq!(parse(&wrong), Err(Reason::PacketMalformed));
}

#[test]
fn neighbours_do_not_come_from_afar() {
    let neighbour = |kind, hops| {
        let packet = parse(&v6_packet(ICMP6, hops, &[kind, 0, 0, 0, 0, 0, 0, 0]));
        packet.unwrap().is_neighbour()
    };
    assert!(neighbour(135, 255) && neighbour(136, 255));
    assert!(!neighbour(135, 254) && !neighbour(128, 255));
}

proptest! {
    /// Nothing panics, and what is carried lies in the packet.
    #[test]
    fn any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..120), six in any::<bool>()) {
        if let Some(first) = bytes.first_mut() {
            *first = if six { 0x60 } else { 0x40 | (*first & 0xf) };
        }
        if let Ok(packet) = parse(&bytes) {
            prop_assert!(packet.payload <= packet.end && packet.end as usize <= bytes.len());
        }
    }
}
