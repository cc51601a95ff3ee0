//! What the kernel counts is what the clients saw.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::live::Live;
use steer_common::{
    addr::Proto,
    reason::Reason,
    service::{Route, ServiceKey},
};
use steer_tests::{
    client::{Manner, Storm, tally},
    harness::test,
};

use crate::{
    check::{Family, Way, counts, ensure_exact, service_v4},
    common::{
        service::{Service, image},
        stage::{Stage, v4},
    },
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "counters::destinations_equal_what_clients_saw",
            destinations,
        ),
        test("counters::every_reason_equals_what_clients_saw", reasons),
        test("counters::tickets_survive_a_weight_change", weight_change),
        test(
            "counters::they_go_on_when_endpoints_change",
            endpoint_change,
        ),
    ]
}

/// The row that a key leads to.
pub(crate) fn route(live: &Live, key: ServiceKey) -> Result<&Route> {
    let row = live.services.get(&key).context("the service is there")?;
    live.routes.get(row).context("its row is there")
}

/// What was counted of each destination, in the row's order.
fn counted(live: &Live, key: ServiceKey) -> Result<Vec<u64>> {
    let route = route(live, key)?;
    let counters = (route.counters..).take(route.destinations().len());
    counters
        .map(|counter| live.counters.get(&counter).copied().context("a counter"))
        .collect()
}

fn split(weights: [u32; 2]) -> Service {
    Service::new(Proto::Tcp, service_v4(1))
        .to(weights[0], &[v4(1)])
        .to(weights[1], &[v4(2)])
}

fn destinations() -> Result<()> {
    let mut stage = Stage::raise("destinations", 3)?;
    let first = split([90, 10]);
    let second = Service::new(Proto::Tcp, service_v4(2))
        .to(1, &[v4(1)])
        .to(0, &[v4(2)])
        .to(3, &[v4(3)]);
    let keys = [first.key(), second.key()];
    stage.put(&image([first, second]))?;
    let storm = Storm {
        targets: vec![service_v4(1), service_v4(2)],
        threads: 2,
        ..Storm::new(service_v4(1), 334)
    };
    let running = storm.start(stage.other()?)?;
    let mut attempts = storm.run(stage.client()?)?;
    attempts.extend(running.finish()?);
    let live = stage.live()?;
    for (number, key) in (1..).zip(keys) {
        let of_it = attempts
            .iter()
            .filter(|attempt| attempt.target == service_v4(number));
        let seen = counts(&of_it.cloned().collect::<Vec<_>>())?;
        let seen_at = |endpoint: SocketAddr| *seen.get(&endpoint).unwrap_or(&0) as u64;
        let seen: Vec<u64> = (1..=3).map(|number| seen_at(v4(number))).collect();
        let counted = counted(&live, key)?;
        ensure!(
            counted == seen[..counted.len()],
            "counted {counted:?}, seen {seen:?}"
        );
        let tickets = live.tickets[&route(&live, key)?.split];
        ensure!(tickets == seen.iter().sum::<u64>(), "{tickets} tickets");
    }
    Ok(())
}

/// What each reason counts more than before.
fn growth(before: &Live, after: &Live) -> BTreeMap<Reason, u64> {
    Reason::ALL
        .into_iter()
        .map(|reason| (reason, after.reasons[&reason] - before.reasons[&reason]))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn reasons() -> Result<()> {
    use Reason::{
        Drawn, NoDestination, NoEndpoint, NotAService, NotVisible, PeerRestored, PeerUntouched,
        Remembered, ReplyRestored, ReplyUntouched,
    };
    let mut stage = Stage::raise("reasons", 2)?;
    let service = |proto, number| Service::new(proto, service_v4(number));
    stage.put(&image([
        service(Proto::Tcp, 1).to(1, &[v4(1)]),
        service(Proto::Udp, 1).to(1, &[v4(1)]),
        service(Proto::Tcp, 2).affinity(100).to(1, &[v4(1), v4(2)]),
        service(Proto::Tcp, 3).to(1, &[]),
        service(Proto::Tcp, 4),
        service(Proto::Tcp, 5).hidden(),
    ]))?;
    let hidden = std::time::Duration::from_millis(50);
    // Both ends are pods of this node. A client asks for the peer of each connection, or for the
    // sender of each datagram; so does the server, and it answers datagrams by `sendmsg`.
    let accepted = (PeerUntouched, 7);
    let (heard, answered) = ((ReplyUntouched, 7), (NotAService, 7));
    for (manner, target, wanted) in [
        (
            Manner::Tcp,
            service_v4(1),
            &[(Drawn, 7), (PeerRestored, 7), accepted][..],
        ),
        (
            Manner::Tcp,
            service_v4(2),
            &[(Drawn, 1), (Remembered, 6), (PeerRestored, 7), accepted],
        ),
        (Manner::Tcp, service_v4(3), &[(NoEndpoint, 7)]),
        (Manner::Tcp, service_v4(4), &[(NoDestination, 7)]),
        (Manner::Tcp, service_v4(5), &[(NotVisible, 7)]),
        (Manner::Tcp, v4(1), &[(NotAService, 7), (PeerUntouched, 14)]),
        (
            Manner::Udp,
            service_v4(1),
            &[(Drawn, 7), (ReplyRestored, 7), heard, answered],
        ),
        (
            Manner::Udp,
            v4(1),
            &[(NotAService, 14), (ReplyUntouched, 14)],
        ),
        (
            Manner::UdpConnected,
            service_v4(1),
            &[(Drawn, 7), (PeerRestored, 7), heard, answered],
        ),
    ] {
        let family = Family::V4;
        let mut storm = Way { manner, family }.storm(target, 7);
        if target == service_v4(5) {
            storm.timeout = hidden;
        }
        let before = stage.live()?;
        let attempts = storm.run(stage.client()?)?;
        let growth = growth(&before, &stage.live()?);
        ensure!(
            growth == wanted.iter().copied().collect(),
            "{manner:?} to {target}: {growth:?}, clients saw {:?}",
            tally(&attempts)
        );
    }
    Ok(())
}

/// A split goes on where it was: no weights make its tickets begin anew. Its counters do.
fn weight_change() -> Result<()> {
    let mut stage = Stage::raise("weights", 2)?;
    let key = split([90, 10]).key();
    stage.put(&image([split([90, 10])]))?;
    Storm::new(service_v4(1), 137).run(stage.client()?)?;
    let before = route(&stage.live()?, key)?.split;
    for (weights, total) in [([50, 50], 137), ([1, 3], 257), ([90, 10], 377)] {
        stage.put(&image([split(weights)]))?;
        let live = stage.live()?;
        ensure!(route(&live, key)?.split == before);
        ensure!(live.tickets[&before] == total, "{:?}", live.tickets);
        ensure!(counted(&live, key)? == [0, 0], "{:?}", live.counters);
        let attempts = Storm::new(service_v4(1), 120).run(stage.client()?)?;
        let share =
            |weight| usize::try_from(weight / steer_common::weights::gcd(weights[0], weights[1]));
        let shares = [
            (v4(1).to_string(), share(weights[0])?),
            (v4(2).to_string(), share(weights[1])?),
        ];
        ensure_exact(&attempts, &shares)?;
    }
    Ok(())
}

fn endpoint_change() -> Result<()> {
    let mut stage = Stage::raise("endpoints", 3)?;
    let key = split([90, 10]).key();
    stage.put(&image([split([90, 10])]))?;
    Storm::new(service_v4(1), 50).run(stage.client()?)?;
    let wider = Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1), v4(3)])
        .to(10, &[v4(2)]);
    stage.put(&image([wider]))?;
    Storm::new(service_v4(1), 50).run(stage.client()?)?;
    // One period in all.
    let counted = counted(&stage.live()?, key)?;
    ensure!(counted == [90, 10], "{counted:?}");
    Ok(())
}
