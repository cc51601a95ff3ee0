//! The guard at the veth, by frames that nobody sent: what comes in, what is said of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial as Test;
use steer::{
    kernel::{Trial, Tried},
    plan::EgressRows,
};
use steer_common::{
    Port,
    addr::PodAddrs,
    egress::{Check, HostKey, HostRule, Mode, NetKey, NetRule, Policy, PortRow},
    reason::Reason,
};
use steer_tests::harness::test;

use crate::{
    common::stage::Stage,
    verdict::{DROP, NEXT, REDIRECT},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("veth::frames", frames),
        test("veth::echoes", echoes),
        test("veth::off_is_off", off),
    ]
}

const POD: [u8; 4] = [10, 0, 0, 1];
const FRIEND: [u8; 4] = [192, 0, 2, 7];
const STRANGER: [u8; 4] = [198, 51, 100, 7];

fn pod_v6() -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)
}

fn stranger_v6() -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)
}

fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(body);
    // As short as no frame on a wire is.
    frame.resize(frame.len().max(60), 0);
    frame
}

/// An IPv4 packet: from, to, protocol, flags and offset of fragments, options, what it carries.
pub(crate) fn v4(
    from: [u8; 4],
    to: [u8; 4],
    proto: u8,
    fragment: u16,
    options: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let words = 5 + u8::try_from(options.len() / 4).unwrap_or_default();
    let length = u16::try_from(20 + options.len() + body.len()).unwrap_or_default();
    let mut packet = vec![0x40 | words, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, proto, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(options);
    packet.extend(body);
    ethernet(0x0800, &packet)
}

pub(crate) fn v6(from: Ipv6Addr, to: Ipv6Addr, next: u8, hops: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).unwrap_or_default().to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(body);
    ethernet(0x86dd, &packet)
}

fn tcp(port: u16, flags: u8) -> Vec<u8> {
    let mut body = vec![0x9c, 0x40];
    body.extend(port.to_be_bytes());
    body.extend([0, 0, 0, 7, 0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body
}

fn udp(port: u16) -> Vec<u8> {
    let mut body = vec![0x9c, 0x40];
    body.extend(port.to_be_bytes());
    body.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    body
}

fn arp(sender: [u8; 4]) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    body.extend(sender);
    body.extend([0; 6]);
    body.extend(FRIEND);
    ethernet(0x0806, &body)
}

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Each frame, what the program returns, and the reason that it counts.
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(&'static str, Vec<u8>, i32, Reason)> {
    let neighbour = |to, hops| v6(pod_v6(), to, 58, hops, &[135, 0, 0, 0, 0, 0, 0, 0]);
    let link = |first| Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 1);
    vec![
        (
            "to whom it may",
            v4(POD, FRIEND, 6, 0, &[], &tcp(443, SYN)),
            NEXT,
            Reason::InNetwork,
        ),
        (
            "the flow goes on",
            v4(POD, FRIEND, 6, 0, &[], &tcp(443, ACK)),
            NEXT,
            Reason::FlowKnown,
        ),
        (
            "another port",
            v4(POD, FRIEND, 6, 0, &[], &tcp(80, SYN)),
            REDIRECT,
            Reason::PortNotNamed,
        ),
        (
            "a stranger",
            v4(POD, STRANGER, 6, 0, &[], &tcp(443, SYN)),
            REDIRECT,
            Reason::NotInRegistry,
        ),
        (
            "mid-flow",
            v4(POD, STRANGER, 6, 0, &[], &tcp(443, ACK)),
            REDIRECT,
            Reason::NotInRegistry,
        ),
        (
            "a reset is not answered",
            v4(POD, STRANGER, 6, 0, &[], &tcp(443, RST)),
            DROP,
            Reason::NotInRegistry,
        ),
        (
            "a stranger, IPv6",
            v6(pod_v6(), stranger_v6(), 6, 64, &tcp(443, SYN)),
            REDIRECT,
            Reason::NotInRegistry,
        ),
        (
            "a datagram",
            v4(POD, STRANGER, 17, 0, &[], &udp(53)),
            DROP,
            Reason::NotInRegistry,
        ),
        (
            "an echo request",
            v4(POD, FRIEND, 1, 0, &[], &[8, 0, 0, 0, 0, 0, 0, 0]),
            DROP,
            Reason::PortNotNamed,
        ),
        (
            "another protocol",
            v4(POD, FRIEND, 132, 0, &[], &[0; 12]),
            DROP,
            Reason::PortNotNamed,
        ),
        (
            "a first fragment",
            v4(POD, FRIEND, 6, 0x2000, &[], &tcp(443, SYN)),
            DROP,
            Reason::Fragment,
        ),
        (
            "a later fragment",
            v4(POD, FRIEND, 6, 100, &[], &[0; 16]),
            DROP,
            Reason::Fragment,
        ),
        (
            "options",
            v4(POD, FRIEND, 6, 0, &[1, 1, 1, 0], &tcp(443, SYN)),
            DROP,
            Reason::IpOptions,
        ),
        (
            "a fragment, IPv6",
            v6(pod_v6(), stranger_v6(), 44, 64, &[6, 0, 0, 0, 0, 0, 0, 1]),
            DROP,
            Reason::Fragment,
        ),
        (
            "destination options",
            v6(pod_v6(), stranger_v6(), 60, 64, &[6, 0, 1, 4, 0, 0, 0, 0]),
            DROP,
            Reason::ExtensionHeader,
        ),
        (
            "cut short",
            v4(POD, FRIEND, 6, 0, &[], &[0; 4]),
            DROP,
            Reason::PacketMalformed,
        ),
        (
            "as somebody else",
            v4(FRIEND, STRANGER, 17, 0, &[], &udp(53)),
            DROP,
            Reason::SourceForeign,
        ),
        (
            "as somebody else, allowed",
            v4(STRANGER, FRIEND, 6, 0, &[], &tcp(443, ACK)),
            REDIRECT,
            Reason::SourceForeign,
        ),
        (
            "as somebody else, IPv6",
            v6(stranger_v6(), pod_v6(), 17, 64, &udp(53)),
            DROP,
            Reason::SourceForeign,
        ),
        ("ARP", arp(POD), NEXT, Reason::Neighbour),
        (
            "ARP as somebody else",
            arp(FRIEND),
            DROP,
            Reason::SourceForeign,
        ),
        (
            "a neighbour",
            neighbour(link(0xfe80), 255),
            NEXT,
            Reason::Neighbour,
        ),
        (
            "all neighbours",
            neighbour(link(0xff02), 255),
            NEXT,
            Reason::Neighbour,
        ),
        (
            "a neighbour that is none",
            neighbour(stranger_v6(), 255),
            DROP,
            Reason::NotInRegistry,
        ),
        (
            "all of the site",
            neighbour(link(0xff05), 255),
            DROP,
            Reason::NotInRegistry,
        ),
        (
            "from afar",
            neighbour(link(0xfe80), 64),
            DROP,
            Reason::NotInRegistry,
        ),
        (
            "an odd frame",
            ethernet(0x88b5, &[0; 46]),
            DROP,
            Reason::EtherType,
        ),
        (
            "a tagged frame",
            ethernet(0x8100, &[0; 46]),
            DROP,
            Reason::EtherType,
        ),
    ]
}

/// The loopback interface, which any namespace has: what the frames seem to be on.
pub(crate) const INTERFACE: u32 = 1;

/// One pod, judged by policy 1, behind `INTERFACE`.
pub(crate) fn rules() -> EgressRows {
    let mut rows = EgressRows::default();
    rows.settings.on = true;
    rows.policies.insert(0, Policy::new(Mode::Open, 0));
    rows.policies.insert(1, Policy::new(Mode::Enforce, 0));
    let mut port = PortRow {
        client: 77,
        policy: 1,
        workload: 0,
        ..PortRow::default()
    };
    port.addrs = PodAddrs::new([Ipv4Addr::from(POD).into(), pod_v6().into()]);
    rows.ports.insert(INTERFACE, port);
    let addr = IpAddr::from(FRIEND).into();
    let rule = NetRule { host: 1, flags: 0 };
    rows.nets
        .insert((NetKey { policy: 1, addr }, NetKey::ADDRESS_BITS), rule);
    let key = HostKey::new(1, 1, Port::new(443), 6);
    rows.hosts
        .insert(key, HostRule::new(key, Check::Address, 0));
    rows
}

fn run(stage: &mut Stage, frame: &[u8]) -> Result<Tried> {
    let trial = Trial {
        frame,
        interface: INTERFACE,
        repeat: 1,
    };
    Ok(stage.engine()?.kernel_mut().trial("steer_veth", &trial)?)
}

/// An ICMP message of some kind, with an identifier.
fn icmp(kind: u8, identifier: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, identifier, 0, 1]
}

/// A ping from outside is answered, and nothing else that looks like an answer.
fn echoes() -> Result<()> {
    let mut stage = Stage::raise("veth-echoes", 1)?;
    stage.engine()?.kernel_mut().put_egress(&rules())?;
    let ask = |stage: &mut Stage, frame: &[u8]| -> Result<()> {
        let trial = Trial {
            frame,
            interface: INTERFACE,
            repeat: 1,
        };
        let kernel = stage.engine()?.kernel_mut();
        let tried = kernel.trial("steer_veth_in", &trial)?;
        ensure!(tried.verdict == NEXT && tried.frame == frame, "{tried:?}");
        Ok(())
    };
    let four = |kind, identifier| v4(POD, STRANGER, 1, 0, &[], &icmp(kind, identifier));
    let six = |kind, identifier| v6(pod_v6(), stranger_v6(), 58, 64, &icmp(kind, identifier));
    for reply in [four(0, 9), six(129, 9)] {
        ensure!(run(&mut stage, &reply)?.verdict == DROP, "nobody asked");
    }
    ask(&mut stage, &v4(STRANGER, POD, 1, 0, &[], &icmp(8, 9)))?;
    let asked = v6(stranger_v6(), pod_v6(), 58, 64, &icmp(128, 9));
    ask(&mut stage, &asked)?;
    for (frame, verdict) in [
        (four(0, 9), NEXT),
        (six(129, 9), NEXT),
        // To another question, from another pod, no answer at all.
        (four(0, 8), DROP),
        (six(129, 8), DROP),
        (v4(POD, FRIEND, 1, 0, &[], &icmp(0, 9)), DROP),
        (four(8, 9), DROP),
        (six(128, 9), DROP),
        (four(13, 9), DROP),
    ] {
        let tried = run(&mut stage, &frame)?;
        ensure!(tried.verdict == verdict, "{frame:?}: {tried:?}");
    }
    Ok(())
}

fn frames() -> Result<()> {
    let mut stage = Stage::raise("veth-frames", 1)?;
    stage.engine()?.kernel_mut().put_egress(&rules())?;
    for (name, frame, verdict, reason) in table() {
        let before = stage.live()?.reasons[&reason];
        let tried = run(&mut stage, &frame).context(name)?;
        ensure!(
            tried.verdict == verdict,
            "{name}: {}, not {verdict}",
            tried.verdict
        );
        let counted = stage.live()?.reasons[&reason] - before;
        ensure!(counted == 1, "{name}: {reason:?} counts {counted}");
        if verdict == REDIRECT {
            is_reset(&frame, &tried.frame).context(name)?;
        }
    }
    Ok(())
}

/// The answer goes back to where the frame came from.
fn is_reset(asked: &[u8], answered: &[u8]) -> Result<()> {
    ensure!(answered[..6] == asked[6..12] && answered[6..12] == asked[..6]);
    let (addresses, transport, length) = if asked[12] == 0x08 {
        (26, 34, 54)
    } else {
        (22, 54, 74)
    };
    ensure!(answered.len() == length, "{} bytes", answered.len());
    let size = (transport - addresses) / 2;
    let half = |frame: &[u8], which: usize| frame[addresses + which * size..][..size].to_vec();
    ensure!(half(answered, 0) == half(asked, 1) && half(answered, 1) == half(asked, 0));
    let ports = |frame: &[u8], at: usize| [frame[transport + at], frame[transport + at + 1]];
    ensure!(ports(answered, 0) == ports(asked, 2) && ports(answered, 2) == ports(asked, 0));
    ensure!(answered[transport + 13] & RST != 0, "no reset");
    Ok(())
}

fn off() -> Result<()> {
    let mut stage = Stage::raise("veth-off", 1)?;
    let mut rows = rules();
    rows.settings.on = false;
    stage.engine()?.kernel_mut().put_egress(&rows)?;
    for (name, frame, ..) in table() {
        let tried = run(&mut stage, &frame).context(name)?;
        ensure!(
            tried.verdict == NEXT && tried.frame == frame,
            "{name}: {tried:?}"
        );
    }
    Ok(())
}
