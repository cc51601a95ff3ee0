//! Names in first bytes, by frames that nobody sent: which segment passes, which ends a connection.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial as Test;
use steer::{
    kernel::{Trial, Tried},
    plan::EgressRows,
};
use steer_common::{
    Addr, Port,
    addr::PodAddrs,
    egress::{
        Check, Grant, HostKey, HostRule, Learned, LearnedKey, Mode, NameKey, NameRule, Policy,
        PortRow, learned::FOREVER_SECS,
    },
    reason::Reason,
};
use steer_tests::{harness::test, link, netns, server::http};

use crate::{
    common::stage::{Stage, v4},
    verdict::{DROP, NEXT, REDIRECT},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("hello::names_on_an_address_of_many", names),
        test("hello::in_pieces_and_sent_again", pieces),
        test(
            "hello::a_new_generation_keeps_what_is_still_allowed",
            generations,
        ),
        test("hello::audit_refuses_none", audited),
        test("hello::a_socket_is_told_at_once", told),
    ]
}

const POD: [u8; 4] = [10, 0, 0, 1];
const SHARED: [u8; 4] = [192, 0, 2, 7];
/// The loopback interface, which any namespace has: what the frames seem to be on.
const INTERFACE: u32 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIRST: u32 = u32::MAX - 20;

/// Two hosts share an address; a third may be reached elsewhere.
fn rules(mode: Mode) -> Result<EgressRows> {
    let mut rows = EgressRows::default();
    rows.settings.on = true;
    rows.policies.insert(0, Policy::new(Mode::Open, 0));
    rows.policies.insert(1, Policy::new(mode, 0));
    let mut port = PortRow {
        client: 77,
        policy: 1,
        ..PortRow::default()
    };
    port.addrs = PodAddrs::new([Ipv4Addr::from(POD).into()]);
    rows.ports.insert(INTERFACE, port);
    let hosts = [
        (1, "good.example.com"),
        (2, "*.example.org"),
        (3, "elsewhere.example.com"),
    ];
    for (host, name) in hosts {
        for (port, check) in [(443, Check::Sni), (80, Check::Host)] {
            let key = HostKey::new(1, host, Port::new(port), 6);
            rows.hosts.insert(key, HostRule::new(key, check, 0));
        }
        let (bits, key) = NameKey::new(1, name).context("a name")?;
        rows.names.insert((key, bits), NameRule { host, flags: 0 });
    }
    let mut stand = |addr: [u8; 4], hosts: &[u32]| {
        let key = LearnedKey {
            policy: 1,
            addr: Addr::from(IpAddr::from(addr)),
        };
        let mut row = Learned::one(key, Grant::new(hosts[0], FOREVER_SECS));
        for (place, &host) in row.grants.iter_mut().zip(hosts) {
            *place = Grant::new(host, FOREVER_SECS);
        }
        rows.resolved.insert(key, row);
    };
    stand(SHARED, &[1, 2]);
    stand([192, 0, 2, 8], &[3]);
    Ok(rows)
}

fn segment(from: u16, to: u16, flags: u8, seq: u32, data: &[u8]) -> Vec<u8> {
    let mut tcp = from.to_be_bytes().to_vec();
    tcp.extend(to.to_be_bytes());
    tcp.extend(seq.to_be_bytes());
    tcp.extend([0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(data);
    let length = u16::try_from(20 + tcp.len()).unwrap_or_default();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(length.to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 6, 0, 0]);
    frame.extend(POD);
    frame.extend(SHARED);
    frame.extend(tcp);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(u16::try_from(body.len()).unwrap_or_default().to_be_bytes());
    out.extend(body);
    out
}

/// A hello with a name, or without one, and so much else.
fn hello(name: Option<&str>, padding: usize) -> Vec<u8> {
    let mut extensions = extension(21, &vec![0; padding]);
    if let Some(name) = name {
        let length = u16::try_from(name.len()).unwrap_or_default();
        let mut body = (length + 3).to_be_bytes().to_vec();
        body.push(0);
        body.extend(length.to_be_bytes());
        body.extend(name.bytes());
        extensions.extend(extension(0, &body));
    }
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let length = u16::try_from(extensions.len()).unwrap_or_default();
    hello.extend(length.to_be_bytes());
    hello.extend(extensions);
    let length = u16::try_from(hello.len()).unwrap_or_default();
    let mut out = vec![22, 3, 1];
    out.extend((length + 4).to_be_bytes());
    out.extend([1, 0]);
    out.extend(length.to_be_bytes());
    out.extend(hello);
    out
}

fn request(host: &str) -> Vec<u8> {
    format!("GET /a HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Connections of one pod, each from a port of its own.
struct World {
    stage: Stage,
    port: u16,
}

impl World {
    fn raise(purpose: &str, mode: Mode) -> Result<Self> {
        let mut stage = Stage::raise(purpose, 1)?;
        let kernel = stage.engine()?.kernel_mut();
        kernel.put_egress(&rules(mode)?)?;
        let port = 40_000;
        Ok(Self { stage, port })
    }

    fn run(&mut self, frame: &[u8]) -> Result<Tried> {
        let trial = Trial {
            frame,
            interface: INTERFACE,
            repeat: 1,
        };
        Ok(self
            .stage
            .engine()?
            .kernel_mut()
            .trial("steer_veth", &trial)?)
    }

    /// A frame, what becomes of it, and the reason that it counts.
    fn see(&mut self, what: &str, frame: &[u8], verdict: i32, reason: Reason) -> Result<()> {
        let before = self.stage.live()?.reasons[&reason];
        let tried = self.run(frame).context(what.to_owned())?;
        let counted = self.stage.live()?.reasons[&reason] - before;
        let all = self.stage.live()?.reasons;
        ensure!(
            tried.verdict == verdict && counted == 1,
            "{what}: {}, not {verdict}; {reason:?} counts {counted}: {all:?}",
            tried.verdict
        );
        Ok(())
    }

    /// A new connection.
    fn open(&mut self, to: u16) -> Result<()> {
        self.port += 1;
        let syn = segment(self.port, to, SYN, FIRST.wrapping_sub(1), &[]);
        self.see("a SYN", &syn, NEXT, Reason::HelloPending)?;
        let ack = segment(self.port, to, ACK, FIRST, &[]);
        self.see("an ACK", &ack, NEXT, Reason::FlowKnown)
    }

    /// Bytes of the connection that was opened last, from some place on.
    fn send(&mut self, to: u16, at: u32, data: &[u8]) -> Vec<u8> {
        segment(self.port, to, ACK, FIRST.wrapping_add(at), data)
    }
}

fn names() -> Result<()> {
    let mut world = World::raise("hello-names", Mode::Enforce)?;
    let mut ech = hello(Some("good.example.com"), 30);
    // The padding becomes an encrypted hello.
    let at = 5 + 4 + 2 + 32 + 7 + 2;
    ech[at..at + 2].copy_from_slice(&[0xfe, 0x0d]);
    let cases = [
        (443, hello(Some("good.example.com"), 0), None),
        (443, hello(Some("Good.Example.COM"), 1_200), None),
        (443, hello(Some("any.example.org"), 0), None),
        (
            443,
            hello(Some("evil.example.net"), 0),
            Some(Reason::HelloNotListed),
        ),
        (
            443,
            hello(Some("elsewhere.example.com"), 0),
            Some(Reason::HelloNotListed),
        ),
        (
            443,
            hello(Some("example.org"), 0),
            Some(Reason::HelloNotListed),
        ),
        (443, hello(None, 40), Some(Reason::HelloNoName)),
        (443, ech, Some(Reason::HelloEncrypted)),
        (443, request("good.example.com"), Some(Reason::HelloOther)),
        (80, request("good.example.com"), None),
        (80, request("a.b.example.org:80"), None),
        (
            80,
            request("elsewhere.example.com"),
            Some(Reason::HelloNotListed),
        ),
        (
            80,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            Some(Reason::HelloHttp2),
        ),
        (
            80,
            b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            Some(Reason::HelloNoName),
        ),
        (
            80,
            hello(Some("good.example.com"), 0),
            Some(Reason::HelloOther),
        ),
    ];
    for (number, (to, bytes, refused)) in cases.into_iter().enumerate() {
        let what = format!("case {number}");
        world.open(to)?;
        let frame = world.send(to, 0, &bytes);
        let end = u32::try_from(bytes.len())?;
        let later = world.send(to, end, b"more");
        if let Some(reason) = refused {
            world.see(&what, &frame, REDIRECT, reason)?;
            world.see(
                &format!("{what}, later"),
                &later,
                REDIRECT,
                Reason::ResetSent,
            )?;
            continue;
        }
        world.see(&what, &frame, NEXT, Reason::HelloAllowed)?;
        world.see(&format!("{what}, later"), &later, NEXT, Reason::FlowKnown)?;
        // Sent again it passes, and otherwise it does not.
        world.see(&format!("{what}, again"), &frame, NEXT, Reason::FlowKnown)?;
        let mut lie = bytes.clone();
        lie[20] ^= 1;
        let lie = world.send(to, 0, &lie);
        world.see(
            &format!("{what}, otherwise"),
            &lie,
            DROP,
            Reason::HelloRewritten,
        )?;
    }
    // What opens with data, and what was never opened.
    let data = request("good.example.com");
    let syn = segment(50_000, 80, SYN, FIRST, &data);
    world.see("data in a SYN", &syn, REDIRECT, Reason::HelloInSyn)?;
    let stray = segment(50_001, 80, ACK, FIRST, &data);
    world.see("never opened", &stray, REDIRECT, Reason::HelloRewritten)
}

fn pieces() -> Result<()> {
    let mut world = World::raise("hello-pieces", Mode::Enforce)?;
    for (name, padding) in [("good.example.com", 0), ("any.example.org", 7_000)] {
        for size in [1, 5, 17, 700, 1_448] {
            if padding / size > 100 {
                continue;
            }
            let bytes = hello(Some(name), padding);
            world.open(443)?;
            let parts: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut at = 0;
            for (index, part) in parts.iter().enumerate() {
                let frame = world.send(443, at, part);
                let last = index + 1 == parts.len();
                let reason = if last {
                    Reason::HelloAllowed
                } else {
                    Reason::HelloPending
                };
                world.see(
                    &format!("{name}, {size}, part {index}"),
                    &frame,
                    NEXT,
                    reason,
                )?;
                at += u32::try_from(part.len())?;
            }
        }
    }
    let evil = hello(Some("evil.example.net"), 100);
    world.open(443)?;
    let ahead = world.send(443, 40, &evil[40..]);
    world.see("out of order", &ahead, DROP, Reason::HelloRewritten)?;
    let first = world.send(443, 0, &evil[..40]);
    world.see("the first part", &first, NEXT, Reason::HelloPending)?;
    world.see("the rest", &ahead, REDIRECT, Reason::HelloNotListed)?;
    world.open(443)?;
    let long = world.send(443, 0, &hello(Some("good.example.com"), 9_000)[..1_400]);
    world.see("too long", &long, REDIRECT, Reason::HelloTooLong)
}

fn generations() -> Result<()> {
    let mut world = World::raise("hello-generations", Mode::Enforce)?;
    let bytes = hello(Some("good.example.com"), 0);
    world.open(443)?;
    let frame = world.send(443, 0, &bytes);
    world.see("the hello", &frame, NEXT, Reason::HelloAllowed)?;
    let end = u32::try_from(bytes.len())?;
    let later = world.send(443, end, b"more");
    let mut rows = rules(Mode::Enforce)?;
    // Something else is taken away.
    rows.resolved
        .retain(|key, _| key.addr == Addr::from(IpAddr::from(SHARED)));
    world.stage.engine()?.kernel_mut().put_egress(&rows)?;
    world.see("still allowed", &later, NEXT, Reason::FlowKnown)?;
    rows.hosts.retain(|key, _| key.host != 1);
    world.stage.engine()?.kernel_mut().put_egress(&rows)?;
    world.see("its host is gone", &later, REDIRECT, Reason::HelloRewritten)
}

fn audited() -> Result<()> {
    let mut world = World::raise("hello-audit", Mode::Audit)?;
    world.open(443)?;
    let frame = world.send(443, 0, &hello(Some("evil.example.net"), 0));
    world.see("audited", &frame, NEXT, Reason::Audited)?;
    world.see("and once only", &frame, NEXT, Reason::FlowKnown)
}

const WEB: u16 = 8080;

/// A socket whose name is refused at its cgroup is answered by the guard at the veth.
fn told() -> Result<()> {
    let mut stage = Stage::raise("hello-told", 1)?;
    http::start(stage.lab.pod("server")?, WEB)?;
    let index = netns::inside(stage.lab.node()?.net(), || link::index("veth-client"))?;
    let mut rows = rules(Mode::Enforce)?;
    let mut port = rows.ports.remove(&INTERFACE).context("a row")?;
    port.policy = 0;
    port.addrs = PodAddrs::new([stage.client()?.v4()?.into()]);
    rows.ports.insert(index, port);
    rows.policies.insert(0, Policy::new(Mode::Enforce, 0));
    let addr = Addr::from(v4(1).ip());
    let key = LearnedKey { policy: 0, addr };
    let grant = Grant::new(1, FOREVER_SECS);
    rows.resolved.insert(key, Learned::one(key, grant));
    let key = HostKey::new(0, 1, Port::new(WEB), 6);
    rows.hosts.insert(key, HostRule::new(key, Check::Host, 0));
    let (bits, name) = NameKey::new(0, "good.example.com").context("a name")?;
    let rule = NameRule { host: 1, flags: 0 };
    rows.names.insert((name, bits), rule);
    stage.engine()?.kernel_mut().put_egress(&rows)?;
    let node = stage.lab.node()?.net().try_clone_to_owned()?;
    let engine = stage.engine()?;
    netns::inside(node.as_fd(), || {
        Ok(engine.kernel_mut().ports_mut().guard(index)?)
    })?;
    // Prints what came of a request that is written in two parts.
    let script = "import socket, sys, time\n\
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)\n\
        s.settimeout(3)\n\
        try:\n    \
            s.sendall(b'GET / HTTP/1.1\\r\\nHo')\n    \
            time.sleep(0.06)\n    \
            s.sendall(b'st: ' + sys.argv[3].encode() + b'\\r\\n\\r\\n')\n    \
            s.recv(100)\n    \
            print('ok')\n\
        except OSError as error:\n    \
            print(type(error).__name__)\n";
    let address = v4(1).ip().to_string();
    let port = WEB.to_string();
    for (name, wanted) in [
        ("good.example.com", "ok"),
        ("evil.example.net", "ConnectionResetError"),
        ("Good.Example.com:8080", "ok"),
    ] {
        let arguments = ["-c", script, &address, &port, name];
        let came = stage.client()?.run("python3", &arguments)?;
        ensure!(came.trim() == wanted, "{name}: {came}");
    }
    let reasons = stage.live()?.reasons;
    ensure!(reasons[&Reason::HelloNotListed] == 1, "{reasons:?}");
    ensure!(reasons[&Reason::ResetSent] >= 1, "{reasons:?}");
    Ok(())
}
