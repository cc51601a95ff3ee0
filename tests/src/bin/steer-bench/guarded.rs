//! What the egress guard costs real traffic of a pod that a policy holds: questions to the resolver, and
//! requests to a server that it may reach, beside two pods that nothing guards.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
};

use anyhow::Result;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use steer::{control::Engine, plan::EgressRows};
use steer_common::{
    Port,
    addr::PodAddrs,
    egress::{Check, HostKey, HostRule, Mode, NameKey, NameRule, NetKey, NetRule, Policy, PortRow},
};
use steer_tests::{
    lab::{HostSpec, Lab},
    link,
    pod::Pod,
    server::dns::{self, Name},
};

use crate::{
    dialler::Dialler,
    egress, images,
    paths::{self, Way},
    report::{Report, quartiles, say},
    throughput::{self, CLOSE, Client, KEEP},
    web,
};

const PORT: u16 = 8080;
const RESOLVER: [u8; 4] = [10, 10, 0, 30];
/// Questions of a batch.
const BATCH: usize = 100;
/// The first two are what the last is compared with.
const PATHS: [(&str, Way); 3] = [
    ("direct", Way::Direct),
    ("direct-again", Way::Direct),
    ("guarded", Way::Guarded),
];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let name = Lab::fresh_name("bench-guarded");
    let servers = [("server", [10, 10, 0, 31]), ("dns", RESOLVER)];
    let servers = servers.map(|(name, address)| HostSpec::pod(name, [IpAddr::from(address)]));
    let clients = (0..)
        .zip(PATHS)
        .map(|(index, (name, _))| HostSpec::pod(name, [paths::client_address(index)]));
    let lab = Lab::builder(&name).hosts(servers).hosts(clients).build()?;
    web::serve(lab.pod("server")?, PORT)?;
    let known = Name {
        name: egress::name(1),
        addresses: vec![IpAddr::from([203, 0, 113, 7])],
    };
    on_cpu(1, || dns::start(lab.pod("dns")?, "cluster.local", &[known]))?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, PORT);
    let clients = PATHS
        .into_iter()
        .map(|(name, way)| Client::open(&lab, name, way, server))
        .collect::<Result<Vec<_>>>()?;
    questions(&clients, if full { 300 } else { 30 }, report)?;
    let rounds = if full { 60 } else { 5 };
    for (kind, figure) in [
        (KEEP, "egress.throughput_keepalive_ratio"),
        (CLOSE, "egress.throughput_close_ratio"),
    ] {
        let medians = throughput::compare(&clients, kind, rounds, 1)?;
        report.figure(figure, medians["guarded"]);
    }
    clients.into_iter().try_for_each(Client::close)
}

/// The time from question to answer, in batches on each path in turn.
fn questions(clients: &[Client<'_>], rounds: usize, report: &mut Report) -> Result<()> {
    let resolver = SocketAddr::from((RESOLVER, 53));
    let mut diallers = clients
        .iter()
        .map(|client| on_cpu(0, || Dialler::start(client.pod())))
        .collect::<Result<Vec<_>>>()?;
    let mut ratios = vec![Vec::new(); clients.len()];
    // A round before those that count warms up.
    for round in 0..=rounds {
        let mut took = vec![0.0; clients.len()];
        for at in 0..clients.len() {
            let index = (round + at) % clients.len();
            took[index] = diallers[index].dns(resolver, BATCH)?;
        }
        if round > 0 {
            let direct = f64::midpoint(took[0], took[1]);
            let of_round = took.iter().map(|took| took / direct);
            ratios
                .iter_mut()
                .zip(of_round)
                .for_each(|(all, one)| all.push(one));
        }
    }
    say(&format!(
        "a question and its answer, as a ratio to direct: medians of {rounds} rounds of {BATCH} in \
         turn (and quartiles)"
    ));
    for (client, ratios) in clients.iter().zip(&ratios) {
        let [low, middle, high] = quartiles(ratios);
        let name = client.pod().name();
        say(&format!("  {name:<14} {middle:.3} ({low:.3} .. {high:.3})"));
        if name == "guarded" {
            report.at_most("egress.dns_latency_ratio", middle, 1.05);
        }
    }
    Ok(())
}

/// Starts something that stays on one CPU: whether two that talk share one makes more of a difference
/// than what is measured.
fn on_cpu<T>(number: usize, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let mut one = CpuSet::new();
    one.set(number % thread::available_parallelism()?.get())?;
    sched_setaffinity(this, &one)?;
    let started = start();
    sched_setaffinity(this, &before)?;
    started
}

/// Holds `pod` to the server, and to what the resolver says of one name: at its cgroup and its veth.
pub(crate) fn guard(lab: &Lab, pod: &Pod, server: SocketAddr) -> Result<Engine> {
    let mut engine = images::engine(lab, pod.cgroup().path(), 100)?;
    let node = lab.node()?;
    let interface = node.in_network(|| link::index(&format!("veth-{}", pod.name())))?;
    let mut rows = EgressRows::default();
    rows.settings.on = true;
    rows.policies.insert(0, Policy::new(Mode::Enforce, 0));
    rows.resolvers.insert(IpAddr::from(RESOLVER).into());
    let addr = server.ip().into();
    let rule = NetRule { host: 1, flags: 0 };
    rows.nets
        .insert((NetKey { policy: 0, addr }, NetKey::ADDRESS_BITS), rule);
    let key = HostKey::new(0, 1, Port::new(server.port()), 6);
    rows.hosts
        .insert(key, HostRule::new(key, Check::Address, 0));
    if let Some((bits, key)) = NameKey::new(0, &egress::name(1)) {
        rows.names
            .insert((key, bits), NameRule { host: 1, flags: 0 });
    }
    let port = PortRow {
        addrs: PodAddrs::new([pod.v4()?.into()]),
        ..PortRow::default()
    };
    rows.ports.insert(interface, port);
    engine.kernel_mut().put_egress(&rows)?;
    node.in_network(|| Ok(engine.kernel_mut().ports_mut().guard(interface)?))?;
    Ok(engine)
}
