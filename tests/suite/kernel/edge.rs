//! The programs at the node's uplinks, by frames that nobody sent: where they go, whose they seem to be, and
//! that their checksums hold.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial as Test;
use steer::kernel::{Trial, open_outside};
use steer_common::{addr::Proto, reason::Reason, service::CLASS_OUTSIDE};
use steer_tests::harness::test;

use crate::{
    common::{
        service::{Service, image},
        stage::Stage,
    },
    verdict::NEXT,
    veth::{self, INTERFACE},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("edge::a_connection_both_ways", both_ways),
        test("edge::what_is_not_for_it", others),
        test("edge::a_direct_connection_is_its_own", direct),
        test("edge::what_is_over_is_forgotten", over),
    ]
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A client, the node, and two endpoints, in one family.
#[derive(Clone, Copy, Debug)]
struct Ends {
    client: SocketAddr,
    node: SocketAddr,
    first: SocketAddr,
    second: SocketAddr,
}

fn families() -> [Ends; 2] {
    let four = |last, port| SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), port));
    let six = |last, port| {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xfffe, last);
        SocketAddr::from((address, port))
    };
    [
        Ends {
            client: four(10, 40_000),
            node: four(1, 30_432),
            first: SocketAddr::from(([10, 10, 0, 12], 5_432)),
            second: SocketAddr::from(([10, 10, 0, 13], 5_433)),
        },
        Ends {
            client: six(0x10, 40_000),
            node: six(1, 30_432),
            first: six(0x12, 5_432),
            second: six(0x13, 5_433),
        },
    ]
}

/// The stage, with one port of the node in each family that leads to both endpoints in turn.
fn raise(purpose: &str) -> Result<Stage> {
    let mut stage = Stage::raise(purpose, 1)?;
    let service = |ends: Ends| {
        Service::new(Proto::Tcp, ends.node)
            .to(1, &[ends.first])
            .to(1, &[ends.second])
            .seen_by(CLASS_OUTSIDE)
    };
    stage.put(&image(families().map(service)))?;
    Ok(stage)
}

/// A frame of TCP with checksums that hold, and something that it carries.
fn frame(from: SocketAddr, to: SocketAddr, flags: u8, seq: u32) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(seq.to_be_bytes());
    tcp.extend([0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(b"odd");
    let mut frame = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            veth::v4(from.ip().octets(), to.ip().octets(), 6, 0, &[], &tcp)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => veth::v6(*from.ip(), *to.ip(), 6, 64, &tcp),
        _ => Vec::new(),
    };
    let [header, transport] = sums(&frame);
    let is_v4 = from.is_ipv4();
    let at = if is_v4 { 34 } else { 54 } + 16;
    frame[at..at + 2].copy_from_slice(&(!transport).to_be_bytes());
    if is_v4 {
        frame[24..26].copy_from_slice(&(!header).to_be_bytes());
    }
    frame
}

/// The sums in ones' complement of the IPv4 header and of the TCP segment with its pseudo-header: all bits
/// set where the checksum holds. IPv6 has no sum of its header.
fn sums(frame: &[u8]) -> [u16; 2] {
    let is_v4 = frame[12] == 0x08;
    let (addresses, transport, end) = if is_v4 {
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        (26..34, 34, 14 + total)
    } else {
        let length = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
        (22..54, 54, 54 + length)
    };
    let header = if is_v4 { sum(&frame[14..34]) } else { 0xffff };
    let length = u16::try_from(end - transport).unwrap_or_default();
    let mut segment = frame[addresses].to_vec();
    segment.extend([0, 6]);
    segment.extend(length.to_be_bytes());
    segment.extend(&frame[transport..end]);
    [header, sum(&segment)]
}

fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into());
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

/// What becomes of a frame that comes in, or goes out.
fn run(stage: &mut Stage, program: &'static str, frame: &[u8]) -> Result<Vec<u8>> {
    let trial = Trial {
        frame,
        interface: INTERFACE,
        repeat: 1,
    };
    let tried = stage.engine()?.kernel_mut().trial(program, &trial)?;
    ensure!(tried.verdict == NEXT, "{tried:?}");
    Ok(tried.frame)
}

const IN: &str = "steer_edge_in";
const OUT: &str = "steer_edge_out";

/// The program makes one frame of the other, to the last byte: so its checksums hold.
fn becomes(
    stage: &mut Stage,
    program: &'static str,
    asked: &[u8],
    wanted: &[u8],
    what: &str,
) -> Result<()> {
    let got = run(stage, program, asked).with_context(|| what.to_owned())?;
    ensure!(sums(wanted) == [0xffff; 2], "{what}: the test is wrong");
    ensure!(
        got == wanted,
        "{what}:\n{got:02x?}, expected\n{wanted:02x?}"
    );
    Ok(())
}

fn both_ways() -> Result<()> {
    let mut stage = raise("edge-ways")?;
    for ends in families() {
        let Ends {
            client,
            node,
            first,
            second,
        } = ends;
        let drawn =
            |stage: &mut Stage| Ok::<_, anyhow::Error>(stage.live()?.reasons[&Reason::Drawn]);
        let before = drawn(&mut stage)?;
        let asked = |flags, seq| frame(client, node, flags, seq);
        let led = |to, flags, seq| frame(client, to, flags, seq);
        let from = |endpoint, flags| frame(endpoint, client, flags, 100);
        let shown = |flags| frame(node, client, flags, 100);
        // Which of the two is drawn first is the split's affair.
        let got = run(&mut stage, IN, &asked(SYN, 7))?;
        let (one, other) = if got == led(first, SYN, 7) {
            (first, second)
        } else {
            (second, first)
        };
        let s = &mut stage;
        becomes(
            s,
            IN,
            &asked(SYN, 7),
            &led(one, SYN, 7),
            "the SYN once more",
        )?;
        ensure!(drawn(s)? == before + 1, "one connection");
        becomes(
            s,
            OUT,
            &from(one, SYN | ACK),
            &shown(SYN | ACK),
            "its answer",
        )?;
        becomes(s, IN, &asked(ACK, 8), &led(one, ACK, 8), "what follows")?;
        becomes(s, OUT, &from(one, ACK), &shown(ACK), "and its answer")?;
        let alien = from(other, ACK);
        becomes(s, OUT, &alien, &alien, "another endpoint's")?;
        // The client's port once more: it draws anew, and what the first endpoint still says is its own.
        becomes(s, IN, &asked(SYN, 9), &led(other, SYN, 9), "a new SYN")?;
        ensure!(drawn(s)? == before + 2, "two connections");
        becomes(s, IN, &asked(ACK, 10), &led(other, ACK, 10), "goes there")?;
        becomes(s, OUT, &from(other, ACK), &shown(ACK), "is answered")?;
        let late = from(one, ACK);
        becomes(s, OUT, &late, &late, "the first endpoint, late")?;
    }
    Ok(())
}

fn others() -> Result<()> {
    let mut stage = raise("edge-others")?;
    let before = stage.live()?.reasons.clone();
    for ends in families() {
        let Ends { client, node, .. } = ends;
        let elsewhere = SocketAddr::new(node.ip(), 30_433);
        let beside = SocketAddr::new(client.ip(), node.port());
        for (name, frame) in [
            ("another port", frame(client, elsewhere, SYN, 7)),
            ("another address", frame(ends.first, beside, SYN, 7)),
            ("in the middle", frame(client, node, ACK, 7)),
            ("a reset", frame(client, node, RST, 7)),
            ("both flags", frame(client, node, SYN | ACK, 7)),
        ] {
            becomes(&mut stage, IN, &frame, &frame, name)?;
            becomes(&mut stage, OUT, &frame, &frame, name)?;
        }
    }
    let [four, six] = families();
    let (from, to) = (Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 1));
    let syn = frame(four.client, four.node, SYN, 7);
    let (SocketAddr::V6(client), SocketAddr::V6(node)) = (six.client, six.node) else {
        anyhow::bail!("IPv6");
    };
    let body = |frame: &[u8], from: usize| frame[from..from + 23].to_vec();
    let v4 = |proto, fragment, options: &[u8]| {
        let body = body(&syn, 34);
        veth::v4(from.octets(), to.octets(), proto, fragment, options, &body)
    };
    let mut tagged = syn.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    for (name, frame) in [
        ("a datagram", v4(17, 0, &[])),
        ("a fragment", v4(6, 0x2000, &[])),
        ("options", v4(6, 0, &[1, 1, 1, 0])),
        (
            "IPv6 options",
            veth::v6(*client.ip(), *node.ip(), 60, 64, &[6, 0, 1, 4, 0, 0, 0, 0]),
        ),
        (
            "cut short",
            veth::v4(from.octets(), to.octets(), 6, 0, &[], &[0; 4]),
        ),
        ("a tagged frame", tagged),
    ] {
        for program in [IN, OUT] {
            let got = run(&mut stage, program, &frame).context(name)?;
            ensure!(got == frame, "{name} is changed by {program}");
        }
    }
    ensure!(stage.live()?.reasons == before, "nothing is counted");
    Ok(())
}

/// A client that dials the endpoint itself from a port that came by the node before.
fn direct() -> Result<()> {
    let mut stage = raise("edge-direct")?;
    for ends in families() {
        let Ends { client, node, .. } = ends;
        run(&mut stage, IN, &frame(client, node, SYN, 7))?;
        for endpoint in [ends.first, ends.second] {
            let syn = frame(client, endpoint, SYN, 8);
            becomes(&mut stage, IN, &syn, &syn, "dialled itself")?;
            let answer = frame(endpoint, client, SYN | ACK, 9);
            becomes(&mut stage, OUT, &answer, &answer, "answers itself")?;
        }
    }
    Ok(())
}

fn over() -> Result<()> {
    let mut stage = raise("edge-over")?;
    let pins = steer::kernel::Pins::new(stage.lab.dirs().pins());
    let [four, six] = families();
    let mut endpoints = Vec::new();
    for ends in [four, six] {
        let led = run(&mut stage, IN, &frame(ends.client, ends.node, SYN, 7))?;
        let is_first = led == frame(ends.client, ends.first, SYN, 7);
        endpoints.push(if is_first { ends.first } else { ends.second });
    }
    ensure!(open_outside(&pins)? == 2);
    run(&mut stage, IN, &frame(four.client, four.node, FIN | ACK, 8))?;
    ensure!(open_outside(&pins)? == 2, "the endpoint may still speak");
    run(
        &mut stage,
        OUT,
        &frame(endpoints[0], four.client, FIN | ACK, 8),
    )?;
    ensure!(open_outside(&pins)? == 1, "both have ended");
    run(&mut stage, OUT, &frame(endpoints[1], six.client, RST, 8))?;
    ensure!(open_outside(&pins)? == 0, "it is broken off");
    let rest = frame(four.client, four.node, ACK, 9);
    becomes(&mut stage, IN, &rest, &rest, "what comes after")?;
    Ok(())
}
