//! What the egress guard costs: a packet of a known connection, and a DNS answer.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use steer::{control::Engine, kernel::Trial, plan::EgressRows};
use steer_common::{
    Port,
    addr::PodAddrs,
    egress::{Check, HostKey, HostRule, Mode, NameKey, NameRule, NetKey, NetRule, Policy, PortRow},
    reason::Reason,
};
use steer_tests::{
    lab::{HostSpec, Lab},
    link,
};

use crate::{
    guarded, images,
    report::{Report, median, say},
};

const POD: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 32);
const FRIEND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// Runs of the program that the kernel averages over.
const REPEAT: u32 = 200_000;
/// Answers of one kind, each to a question of its own.
const ANSWERS: usize = 4_000;
/// Names that the registry holds.
const NAMES: [u32; 2] = [10, 10_000];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let lab = Lab::builder(&Lab::fresh_name("bench-egress"))
        .host(HostSpec::pod("client", [POD.into()]))
        .build()?;
    let client = lab.pod("client")?;
    let mut engine = images::engine(&lab, client.cgroup().path(), 100)?;
    let rounds = if full { 25 } else { 5 };
    client.in_network(|| {
        let interface = link::index("eth0")?;
        established(&mut engine, interface, rounds, report)?;
        for names in NAMES {
            answers(&mut engine, interface, names, rounds, report)?;
        }
        Ok(())
    })?;
    drop(engine);
    guarded::run(full, report)
}

/// The rows of a policy that enforces and knows some names; off or on.
fn rows(on: bool, names: u32, interface: u32) -> Result<EgressRows> {
    let mut rows = EgressRows::default();
    rows.settings.on = on;
    rows.policies.insert(0, Policy::new(Mode::Enforce, 0));
    rows.resolvers.insert(RESOLVER.into());
    let addr = IpAddr::from(FRIEND).into();
    let rule = NetRule { host: 1, flags: 0 };
    rows.nets
        .insert((NetKey { policy: 0, addr }, NetKey::ADDRESS_BITS), rule);
    for number in 1..=names {
        let key = HostKey::new(0, number, Port::new(443), 6);
        rows.hosts
            .insert(key, HostRule::new(key, Check::Address, 0));
        let (bits, key) = NameKey::new(0, &name(number)).context("a name")?;
        let rule = NameRule {
            host: number,
            flags: 0,
        };
        rows.names.insert((key, bits), rule);
    }
    let port = PortRow {
        addrs: PodAddrs::new([POD.into()]),
        ..PortRow::default()
    };
    rows.ports.insert(interface, port);
    Ok(rows)
}

pub(crate) fn name(number: u32) -> String {
    format!("api-{number}.example.com")
}

fn put(engine: &mut Engine, rows: &EgressRows) -> Result<()> {
    Ok(engine.kernel_mut().put_egress(rows)?)
}

fn ns(engine: &mut Engine, program: &'static str, trial: &Trial<'_>) -> Result<(i32, f64)> {
    let tried = engine.kernel_mut().trial(program, trial)?;
    Ok((tried.verdict, tried.took.as_secs_f64() * 1e9))
}

fn once(frame: &[u8], interface: u32) -> Trial<'_> {
    Trial {
        frame,
        interface,
        repeat: 1,
    }
}

/// A segment of an open connection at the veth, net of the same program switched off.
fn established(
    engine: &mut Engine,
    interface: u32,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let (on, off) = (rows(true, 10, interface)?, rows(false, 10, interface)?);
    put(engine, &on)?;
    let (open, segment) = (segment(0x02, 0), segment(0x10, 1_000));
    ensure!(
        ns(engine, "steer_veth", &once(&open, interface))?.0 == -1,
        "the connection opens"
    );
    let many = Trial {
        repeat: REPEAT,
        ..once(&segment, interface)
    };
    let mut nets = Vec::new();
    for _ in 0..rounds {
        put(engine, &off)?;
        let (_, base) = ns(engine, "steer_veth", &many)?;
        put(engine, &on)?;
        let (verdict, cost) = ns(engine, "steer_veth", &many)?;
        ensure!(verdict == -1, "the connection goes on");
        nets.push(cost - base);
    }
    let net = median(&nets);
    say(&format!(
        "a segment of a known connection at the veth: {net:.0} ns net of the guard switched off \
         (median of {rounds} rounds of {REPEAT} runs)"
    ));
    report.at_most("egress.packet_ns_net.established", net, 100.0);
    Ok(())
}

/// Answers at the cgroup, each to a question that was noted before, net of the guard switched off.
fn answers(
    engine: &mut Engine,
    interface: u32,
    names: u32,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    for (count, word, goal) in [
        (1_u8, "one_answer", Some(1_500.0)),
        (8, "eight", None),
        (25, "twenty_five", None),
    ] {
        put(engine, &rows(false, names, interface)?)?;
        let base = batch(engine, interface, names, count)?;
        put(engine, &rows(true, names, interface)?)?;
        let before = engine.kernel().maps().read()?.reasons[&Reason::AnswerLearned];
        let mut nets = Vec::new();
        for _ in 0..rounds {
            nets.push(batch(engine, interface, names, count)? - base);
        }
        let learned = engine.kernel().maps().read()?.reasons[&Reason::AnswerLearned] - before;
        ensure!(
            usize::try_from(learned)? == rounds * ANSWERS,
            "{learned} answers were learned from"
        );
        let net = median(&nets);
        say(&format!(
            "a DNS answer with {count} addresses, {names} names in the registry: {net:.0} ns net"
        ));
        if names != NAMES[0] {
            report.figure(&format!("egress.dns_ns_net.{word}.{names}_names"), net);
        } else if let Some(goal) = goal {
            report.at_most(&format!("egress.dns_ns_net.{word}"), net, goal);
        } else {
            report.figure(&format!("egress.dns_ns_net.{word}"), net);
        }
    }
    Ok(())
}

/// The median of some answers.
fn batch(engine: &mut Engine, interface: u32, names: u32, count: u8) -> Result<f64> {
    let mut costs = Vec::with_capacity(ANSWERS);
    for (number, turn) in (1..=names).cycle().take(ANSWERS).zip(0_u16..) {
        let asked = message(number, turn, 0);
        let question = datagram(POD, RESOLVER, [40_000, 53], &asked);
        ns(engine, "steer_skb_egress", &once(&question, interface))?;
        let answer = datagram(RESOLVER, POD, [53, 40_000], &message(number, turn, count));
        let (verdict, cost) = ns(engine, "steer_skb_ingress", &once(&answer, interface))?;
        ensure!(verdict == 1, "the answer reaches the pod");
        costs.push(cost);
    }
    Ok(median(&costs))
}

fn frame(from: Ipv4Addr, to: Ipv4Addr, proto: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(
        u16::try_from(20 + body.len())
            .unwrap_or_default()
            .to_be_bytes(),
    );
    frame.extend([0, 1, 0, 0, 64, proto, 0, 0]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(body);
    frame
}

fn segment(flags: u8, data: usize) -> Vec<u8> {
    let mut body = vec![0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, flags];
    body.extend([0xff, 0xff, 0, 0, 0, 0]);
    body.resize(20 + data, 7);
    frame(POD, FRIEND, 6, &body)
}

fn datagram(from: Ipv4Addr, to: Ipv4Addr, ports: [u16; 2], data: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    body.extend(
        u16::try_from(8 + data.len())
            .unwrap_or_default()
            .to_be_bytes(),
    );
    body.extend([0, 0]);
    body.extend(data);
    frame(from, to, 17, &body)
}

/// A question for a name, or its answer with some addresses.
pub(crate) fn message(number: u32, id: u16, answers: u8) -> Vec<u8> {
    let flags: u16 = if answers == 0 { 0x0100 } else { 0x8180 };
    let mut out = Vec::new();
    for word in [id, flags, 1, u16::from(answers), 0, 0] {
        out.extend(word.to_be_bytes());
    }
    for label in name(number).split('.') {
        out.push(u8::try_from(label.len()).unwrap_or_default());
        out.extend(label.bytes());
    }
    out.extend([0, 0, 1, 0, 1]);
    for last in 0..answers {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, last]);
    }
    out
}
