use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::egress::NameKey;

/// A message, built as a resolver would.
#[derive(Default)]
struct Message(Vec<u8>);

fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

impl Message {
    fn new(flags: u16, name: &[u8], kind: u16, answers: u16) -> Self {
        let mut out = vec![0x12, 0x34];
        for word in [flags, 1, answers, 0, 1] {
            out.extend(word.to_be_bytes());
        }
        out.extend(name);
        out.extend(kind.to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        Self(out)
    }

    fn record(mut self, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.0.extend(owner);
        self.0.extend(kind.to_be_bytes());
        self.0.extend(1_u16.to_be_bytes());
        self.0.extend(ttl.to_be_bytes());
        self.0
            .extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.0.extend(data);
        self
    }

    fn read(&self) -> (Option<(Header, u64)>, Vec<(IpAddr, u32)>, Box<Dns>) {
        let mut dns = Box::new(Dns::new());
        let len = self.0.len().min(MESSAGE_MAX);
        dns.bytes[..len].copy_from_slice(&self.0[..len]);
        let mut found = Vec::new();
        let read = read(&mut dns, len, |addr, ttl| found.push((addr.to_ip(), ttl)));
        (read, found, dns)
    }

    fn question(&self) -> Option<u64> {
        self.read().0.map(|(_, question)| question)
    }
}

const POINTER: [u8; 2] = [0xc0, 12];

fn v4(last: u8) -> [u8; 4] {
    [192, 0, 2, last]
}

#[test]
fn a_query_and_its_answer_hash_alike_whatever_the_case() {
    let query = Message::new(0x0100, &wire("Api.Example.com"), 1, 0);
    let answer = Message::new(0x8180, &wire("aPI.example.COM"), 1, 1);
    assert!(query.question().is_some());
    assert_eq!(query.question(), answer.question());
    for other in [
        wire("apj.example.com"),
        wire("api.example"),
        wire("api.example.comm"),
    ] {
        assert_ne!(Message::new(0, &other, 1, 0).question(), query.question());
    }
    let aaaa = Message::new(0x0100, &wire("api.example.com"), 28, 0);
    assert_ne!(aaaa.question(), query.question());
    let (header, _) = answer.read().0.unwrap();
    assert_eq!((header.id, header.answer, header.code), (0x1234, true, 0));
}

#[test]
fn aliases_many_answers_and_both_families() {
    let mut message = Message::new(0x8180, &wire("a.example.com"), 1, 35)
        .record(&POINTER, 5, 40, &wire("b.example.net"))
        .record(
            &wire("b.example.net"),
            5,
            300,
            &[3, b'x', b'y', b'z', 0xc0, 12],
        );
    for last in 0..32 {
        message = message.record(&[1, b'z', 0xc0, 12], 1, 30 + u32::from(last), &v4(last));
    }
    let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
    message = message.record(&[0], 28, u32::MAX, &v6.octets());
    // EDNS, in the additional section, is never reached.
    message = message.record(&[0], 41, 0, &[]);
    let (_, found, dns) = message.read();
    assert_eq!(found.len(), 33);
    assert_eq!(found[0], (Ipv4Addr::new(192, 0, 2, 0).into(), 30));
    assert_eq!(found[31], (Ipv4Addr::new(192, 0, 2, 31).into(), 40));
    assert_eq!(found[32], (v6.into(), 0));
    assert!(!dns.is_bad());
}

#[test]
fn the_key_is_that_of_the_registry() {
    for name in ["a", "api.example.com", &vec!["abcdefg"; 31].join(".")] {
        let (_, _, mut dns) = Message::new(0, &wire(name), 1, 0).read();
        let at = dns.name_key(513);
        let (bits, key) = NameKey::new(513, name).unwrap();
        let room = dns.name_room();
        assert_eq!(room[at..at + 4], bits.to_ne_bytes());
        assert_eq!(room[at + 4..at + 6], key.policy);
        let len = name.len() + 1;
        assert_eq!(room[at + 6..at + 6 + len], key.name[..len]);
        assert!(at + 260 <= room.len());
    }
}

#[test]
fn odd_names_are_refused() {
    let mut long = wire(&vec!["a"; 127].join("."));
    assert!(Message::new(0, &long, 1, 0).question().is_some());
    long = wire(&vec!["a"; 128].join("."));
    let odd: [&[u8]; 8] = [
        &[3, b'a', b'.', b'b', 0],
        &[3, b'a', 0, b'b', 0],
        &[1, b' ', 0],
        &[2, 0xc3, 0xa9, 0],
        &[0xc0, 12],
        &[1, b'a', 0xc0, 12],
        &[64, b'a', 0],
        &[0],
    ];
    for name in odd.into_iter().chain([&long[..]]) {
        assert_eq!(Message::new(0, name, 1, 0).question(), None, "{name:?}");
    }
}

#[test]
fn what_is_cut_or_counts_too_much_teaches_what_is_there() {
    let message = Message::new(0x8180, &wire("a.example"), 1, 9)
        .record(&POINTER, 1, 60, &v4(1))
        .record(&POINTER, 1, 60, &v4(2));
    let (_, found, dns) = message.read();
    assert_eq!(found.len(), 2);
    assert!(dns.is_bad());
    let mut cut = Message(message.0.clone());
    cut.0.pop();
    assert_eq!(cut.read().1.len(), 1);
    // A pointer that points to itself is skipped like any other.
    let loops = Message::new(0x8180, &wire("a.example"), 1, 1).record(&[0xc0, 27], 1, 60, &v4(1));
    assert_eq!(loops.read().1.len(), 1);
    // Addresses of a wrong length or class are none.
    let wrong = Message::new(0x8180, &wire("a.example"), 1, 2)
        .record(&POINTER, 1, 60, &[1, 2, 3])
        .record(&POINTER, 28, 60, &v4(2));
    assert!(wrong.read().1.is_empty());
}

#[test]
fn never_learned() {
    let never = |text: &str| is_never_learned(&text.parse::<IpAddr>().unwrap().into());
    for text in [
        "0.0.0.0",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::7f00:1",
    ] {
        assert!(never(text), "{text}");
    }
    for text in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1", "fec0::1"] {
        assert!(!never(text), "{text}");
    }
}

proptest! {
    /// Nothing panics, no read leaves the message, the name stays in its room.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..700), questions in any::<bool>()) {
        let mut message = Message(bytes);
        if questions && message.0.len() > 6 {
            message.0[2] &= 0x87;
            message.0[4..6].copy_from_slice(&[0, 1]);
        }
        let (_, found, mut dns) = message.read();
        prop_assert!(found.len() * 12 <= message.0.len());
        let at = dns.name_key(1);
        prop_assert!(at + 260 <= dns.name_room().len());
    }
}
