//! The egress guard at the socket, and names learned from answers.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::{
    kernel::{Events, Maps},
    plan::{EgressRows, EgressSettings},
};
use steer_common::{
    Addr, Port,
    egress::{
        Check, EventKind, HostKey, HostRule, Mode, NameKey, NameRule, NetKey, NetRule, Policy,
        net::NET_NEVER_LEARNED,
    },
    reason::Reason,
};
use steer_tests::{
    client::{Attempt, Manner},
    harness::test,
    server::dns::{self, Name},
};

use crate::{
    check::{Family, Way, landed, ways},
    common::{
        service::{Service, identity, image},
        stage::{PORT, Stage, v4, v6},
    },
    hooks,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("egress::what_is_not_named_is_refused", refused),
        test("egress::what_is_named_is_reached", named),
        test("egress::audit_refuses_nothing", audited),
        test("egress::services_need_no_other_name", services),
        test("egress::the_errno_is_that_of_the_settings", errno),
        test(
            "egress::names_are_learned_before_the_pod_sees_them",
            learned,
        ),
        test("egress::what_must_not_be_learned_is_not", rebinding),
        test("egress::packets_pass_freely_while_nobody_judges", resting),
    ]
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Rows by which every client is judged: policy 0, that of those nobody knows.
struct Rules(EgressRows);

impl Rules {
    fn new(mode: Mode) -> Self {
        let mut rows = EgressRows::default();
        rows.settings.on = true;
        rows.policies.insert(0, Policy::new(mode, 0));
        Self(rows)
    }

    /// A host that may be reached on a port.
    fn host(mut self, host: u32, port: u16, proto: u8) -> Self {
        let key = HostKey::new(0, host, Port::new(port), proto);
        let rule = HostRule::new(key, Check::Address, 0);
        self.0.hosts.insert(key, rule);
        self
    }

    /// A network of a host.
    fn net(mut self, addr: IpAddr, bits: u32, host: u32, flags: u32) -> Self {
        let addr = Addr::from(addr);
        let bits = NetKey::prefix(addr, bits);
        self.0
            .nets
            .insert((NetKey { policy: 0, addr }, bits), NetRule { host, flags });
        self
    }

    fn name(mut self, name: &str, host: u32) -> Result<Self> {
        let (bits, key) = NameKey::new(0, name).context("a name")?;
        self.0
            .names
            .insert((key, bits), NameRule { host, flags: 0 });
        Ok(self)
    }

    fn resolver(mut self, addr: IpAddr) -> Self {
        self.0.resolvers.insert(addr.into());
        self
    }

    fn put(&self, stage: &mut Stage) -> Result<()> {
        Ok(stage.engine()?.kernel_mut().put_egress(&self.0)?)
    }
}

fn maps(stage: &Stage) -> Result<Maps> {
    Ok(Maps::open(&stage.settings().kernel.pins)?)
}

fn count(stage: &mut Stage, reason: Reason) -> Result<u64> {
    Ok(stage.live()?.reasons[&reason])
}

/// A program at a packet hook costs every packet: it is there with the first policy that judges,
/// and goes with the last.
fn resting() -> Result<()> {
    let mut stage = Stage::raise("egress-resting", 1)?;
    hooks::ensure_packets(&stage.lab, 0)?;
    Rules::new(Mode::Audit).put(&mut stage)?;
    hooks::ensure_packets(&stage.lab, 1)?;
    // By its pins, while nobody runs; the next agent puts its own in its place.
    stage.end();
    hooks::ensure_packets(&stage.lab, 1)?;
    stage.start()?;
    hooks::ensure_packets(&stage.lab, 1)?;
    Rules(EgressRows::default()).put(&mut stage)?;
    hooks::ensure_packets(&stage.lab, 0)
}

fn refused() -> Result<()> {
    let mut stage = Stage::raise("egress-refused", 1)?;
    for way in ways() {
        let attempts = way.storm(way.endpoint(1), 3).run(stage.client()?)?;
        attempts
            .iter()
            .try_for_each(|attempt| landed(attempt).map(drop))?;
    }
    Rules::new(Mode::Enforce).put(&mut stage)?;
    for way in ways() {
        let reason = match way.manner {
            Manner::UdpConnected => Reason::UdpConnect,
            Manner::Tcp | Manner::Udp => Reason::NotInRegistry,
        };
        let before = count(&mut stage, reason)?;
        let attempts = way.storm(way.endpoint(1), 5).run(stage.client()?)?;
        for attempt in &attempts {
            ensure!(attempt.outcome() == "ECONNREFUSED", "{way:?}: {attempt:?}");
            ensure!(attempt.total_ns < 500_000_000, "{attempt:?}");
        }
        let counted = count(&mut stage, reason)? - before;
        ensure!(counted == 5, "{way:?}: {reason:?} counts {counted}");
    }
    events(&stage)?;
    // Off again, and on with the agent gone.
    Rules(EgressRows::default()).put(&mut stage)?;
    for way in ways() {
        let attempts = way.storm(way.endpoint(1), 2).run(stage.client()?)?;
        attempts
            .iter()
            .try_for_each(|attempt| landed(attempt).map(drop))?;
    }
    Rules::new(Mode::Enforce).put(&mut stage)?;
    stage.end();
    for way in ways() {
        let attempts = way.storm(way.endpoint(1), 2).run(stage.client()?)?;
        ensure!(
            attempts.iter().all(|attempt| attempt.error.is_some()),
            "{attempts:?}"
        );
    }
    Ok(())
}

/// Who was refused what, as the ring tells it.
fn events(stage: &Stage) -> Result<()> {
    let mut ring = Events::open(&stage.settings().kernel.pins)?;
    let (client, _) = identity(stage.client()?)?;
    let mut told = 0;
    while let Some(event) = ring.next_event() {
        ensure!(event.kind == EventKind::Refused as u32, "{event:?}");
        ensure!(event.reason == Reason::NotInRegistry.index(), "{event:?}");
        ensure!(event.client == client && event.pid != 0, "{event:?}");
        ensure!(
            [v4(1), v6(1)].contains(&event.peer.to_socket_addr()),
            "{event:?}"
        );
        told += 1;
    }
    ensure!(told == 30, "{told} of 30");
    Ok(())
}

fn named() -> Result<()> {
    let mut stage = Stage::raise("egress-named", 2)?;
    Rules::new(Mode::Enforce)
        .host(1, PORT, TCP)
        .host(1, PORT, UDP)
        .host(2, PORT + 1, TCP)
        .net(v4(1).ip(), 32, 1, 0)
        .net(v6(1).ip(), 128, 1, 0)
        .net(v4(2).ip(), 32, 2, 0)
        .net(v6(2).ip(), 128, 2, 0)
        .put(&mut stage)?;
    for way in ways() {
        let attempts = way.storm(way.endpoint(1), 5).run(stage.client()?)?;
        for attempt in &attempts {
            let landed = landed(attempt).with_context(|| format!("{way:?}"))?;
            ensure!(landed == way.endpoint(1), "{attempt:?}");
        }
        let attempts = way.storm(way.endpoint(2), 5).run(stage.client()?)?;
        for attempt in &attempts {
            ensure!(attempt.outcome() == "ECONNREFUSED", "{way:?}: {attempt:?}");
        }
    }
    let ports = count(&mut stage, Reason::PortNotNamed)?;
    ensure!(ports == 30, "{ports}");
    ensure!(count(&mut stage, Reason::SocketAllowed)? > 0);
    Ok(())
}

/// So few that some are used again: twenty datagrams go to the address in IPv4.
const LOCAL_PORTS: &str = "40000 40015";

fn audited() -> Result<()> {
    let mut stage = Stage::raise("egress-audited", 1)?;
    stage.client()?.in_network(|| {
        Ok(fs::write(
            "/proc/sys/net/ipv4/ip_local_port_range",
            LOCAL_PORTS,
        )?)
    })?;
    Rules::new(Mode::Audit).put(&mut stage)?;
    let mut flows = BTreeSet::new();
    for way in ways() {
        let before = count(&mut stage, Reason::Audited)?;
        let attempts = way.storm(way.endpoint(1), 5).run(stage.client()?)?;
        attempts
            .iter()
            .try_for_each(|attempt| landed(attempt).map(drop))?;
        let expected = audits(way, &attempts, &mut flows)?;
        let counted = count(&mut stage, Reason::Audited)? - before;
        ensure!(
            counted == expected,
            "{way:?}: {counted}, not {expected}: {attempts:?}"
        );
    }
    Ok(())
}

/// Ports of the client that have sent a datagram, and where to.
type Flows = BTreeSet<(u16, SocketAddr)>;

/// How often attempts are counted. A connection is counted once, when it is made. A datagram is counted only while
/// its flow is not known, and closing a socket makes nobody forget: by its packet, and before that if the kernel
/// asks about its address. It does so for sockets that are not connected, and for those of IPv6 that send by IPv4.
fn audits(way: Way, attempts: &[Attempt], flows: &mut Flows) -> Result<u64> {
    if way.manner == Manner::Tcp {
        return Ok(u64::try_from(attempts.len())?);
    }
    let mut fresh = 0;
    for attempt in attempts {
        let local = attempt.local.context("the client's own address")?;
        fresh += u64::from(flows.insert((local.port(), attempt.target)));
    }
    let asked = way.manner == Manner::Udp || way.family == Family::Mapped;
    Ok(if asked { 2 * fresh } else { fresh })
}

fn services() -> Result<()> {
    let mut stage = Stage::raise("egress-services", 1)?;
    let services =
        ways().map(|way| Service::new(way.proto(), way.service(1)).to(1, &[way.endpoint(1)]));
    stage.put(&image(services))?;
    // What is sent without connecting is judged once more, by its endpoint.
    Rules::new(Mode::Enforce)
        .host(1, PORT, UDP)
        .net(v4(1).ip(), 32, 1, 0)
        .net(v6(1).ip(), 128, 1, 0)
        .put(&mut stage)?;
    for way in ways() {
        let attempts = way.storm(way.service(1), 5).run(stage.client()?)?;
        attempts
            .iter()
            .try_for_each(|attempt| landed(attempt).map(drop))?;
    }
    Ok(())
}

fn errno() -> Result<()> {
    let mut stage = Stage::raise("egress-errno", 1)?;
    let errnos = [
        (113, "EHOSTUNREACH"),
        (101, "ENETUNREACH"),
        (1, "EPERM"),
        (7, "ECONNREFUSED"),
    ];
    for (errno, name) in errnos {
        let mut rules = Rules::new(Mode::Enforce);
        rules.0.settings = EgressSettings {
            errno,
            ..rules.0.settings
        };
        rules.put(&mut stage)?;
        for way in ways() {
            let attempts = way.storm(way.endpoint(1), 1).run(stage.client()?)?;
            ensure!(attempts[0].outcome() == name, "{way:?}: {attempts:?}");
        }
    }
    Ok(())
}

/// Names that the resolver knows.
fn resolve(stage: &Stage) -> Result<()> {
    let name = |name: &str, addresses: Vec<IpAddr>| Name {
        name: name.to_owned(),
        addresses,
    };
    let both = |numbers: std::ops::RangeInclusive<u8>| {
        numbers
            .flat_map(|number| [v4(number).ip(), v6(number).ip()])
            .collect()
    };
    let names = [
        name("api.example.test", both(2..=2)),
        name("other.example.test", both(2..=2)),
        name("many.example.test", both(2..=40)),
        name(
            "bad.example.test",
            vec!["127.0.0.1".parse()?, "fe80::1".parse()?],
        ),
        name("inside.example.test", both(1..=1)),
    ];
    dns::start(stage.lab.pod("server")?, "cluster.local", &names)
}

/// What came of asking and connecting at once.
fn ask(stage: &Stage, how: &str, name: &str, v4_: bool, times: usize) -> Result<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/kernel/resolve.py");
    let script = script.to_str().context("a path in UTF-8")?;
    let resolver = resolver(v4_).ip().to_string();
    let kind = if v4_ { "A" } else { "AAAA" };
    let (port, times) = (PORT.to_string(), times.to_string());
    let arguments = [script, how, &resolver, name, kind, &port, &times];
    Ok(serde_json::from_str(
        &stage.client()?.run("python3", &arguments)?,
    )?)
}

fn resolver(is_v4: bool) -> SocketAddr {
    if is_v4 { v4(1) } else { v6(1) }
}

fn resolving() -> Rules {
    Rules::new(Mode::Enforce)
        .resolver(resolver(true).ip())
        .resolver(resolver(false).ip())
}

fn learned() -> Result<()> {
    let mut stage = Stage::raise("egress-learned", 40)?;
    resolve(&stage)?;
    resolving()
        .name("api.example.test", 7)?
        .name("*.test", 9)?
        .name("other.example.test", 8)?
        .host(7, PORT, TCP)
        .host(8, PORT + 1, TCP)
        .host(9, PORT, TCP)
        .put(&mut stage)?;
    let mut maps = maps(&stage)?;
    for (how, is_v4) in [("udp", true), ("udp", false), ("tcp", true), ("tcp", false)] {
        for name in ["api.example.test", "many.example.test", "Api.EXAMPLE.test"] {
            maps.egress.forget_learned()?;
            let came = ask(&stage, how, name, is_v4, 20)?;
            ensure!(
                came.iter().all(|it| it == "ok"),
                "{how} {is_v4} {name}: {came:?}"
            );
        }
        maps.egress.forget_learned()?;
        // Its port is another.
        let came = ask(&stage, how, "other.example.test", is_v4, 3)?;
        ensure!(
            came.iter().all(|it| it == "ECONNREFUSED"),
            "{how} {is_v4}: {came:?}"
        );
    }
    ensure!(count(&mut stage, Reason::AnswerUnasked)? == 0);
    ensure!(count(&mut stage, Reason::LearnFailed)? == 0);
    let seen = maps.egress.names_seen();
    ensure!(
        seen.values().any(|name| name == "other.example.test"),
        "{seen:?}"
    );
    // All 39 addresses of a name are learned, in order of nothing.
    maps.egress.forget_learned()?;
    ask(&stage, "tcp", "many.example.test", true, 1)?;
    let learned = maps.egress.learned().len();
    ensure!(learned == 39, "{learned} of 39");
    Ok(())
}

fn rebinding() -> Result<()> {
    let mut stage = Stage::raise("egress-rebinding", 2)?;
    resolve(&stage)?;
    resolving()
        .name("*.example.test", 7)?
        .host(7, PORT, TCP)
        .net(v4(1).ip(), 32, 0, NET_NEVER_LEARNED)
        .net(v6(1).ip(), 128, 0, NET_NEVER_LEARNED)
        .put(&mut stage)?;
    for is_v4 in [true, false] {
        let came = ask(&stage, "udp", "inside.example.test", is_v4, 3)?;
        ensure!(
            came.iter().all(|it| it == "ECONNREFUSED"),
            "{is_v4}: {came:?}"
        );
        ask(&stage, "udp", "bad.example.test", is_v4, 1)?;
        let came = ask(&stage, "udp", "api.example.test", is_v4, 3)?;
        ensure!(came.iter().all(|it| it == "ok"), "{is_v4}: {came:?}");
    }
    let never = count(&mut stage, Reason::AddressNeverLearned)?;
    ensure!(never >= 8, "{never}");
    let learned = maps(&stage)?.egress.learned();
    ensure!(learned.len() == 2, "{learned:?}");
    Ok(())
}
