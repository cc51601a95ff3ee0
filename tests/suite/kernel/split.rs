//! Connections land on the right endpoints, in exact shares.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_common::addr::Proto;
use steer_tests::{
    client::{Attempt, Manner, Storm},
    harness::test,
};

use crate::{
    check::{Family, Way, counts, ensure_exact, service_v4, ways},
    common::{
        service::{Service, image},
        stage::{Stage, v4},
    },
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("split::every_way_lands_on_every_endpoint", every_way),
        test("split::ninety_ten_in_any_window", ninety_ten),
        test("split::weights_need_not_sum_to_100", other_sums),
        test("split::weight_0_is_never_drawn", weight_zero),
        test("split::a_single_destination_takes_all", single),
        test("split::endpoints_take_turns", turns),
        test("split::interleaved_services_stay_exact", interleaved),
        test("split::several_clients_are_exact_in_total", several),
        test("split::transports_and_ports_are_services_apart", apart),
    ]
}

fn every_way() -> Result<()> {
    let mut stage = Stage::raise("ways", 3)?;
    let services = ways().map(|way| {
        let endpoints = [1, 2, 3].map(|number| way.endpoint(number));
        Service::new(way.proto(), way.service(1)).to(1, &endpoints)
    });
    stage.put(&image(services))?;
    for way in ways() {
        let target = way.service(1);
        let attempts = way.storm(target, 9).run(stage.client()?)?;
        let counts = counts(&attempts)?;
        let wanted = [1, 2, 3].map(|number| (way.endpoint(number), 3));
        ensure!(counts == wanted.into(), "{way:?}: {counts:?}");
        for attempt in &attempts {
            ensure!(attempt.peer == Some(way.shown(target)), "{attempt:?}");
        }
    }
    Ok(())
}

fn shares(shares: &[(u8, usize)]) -> Vec<(String, usize)> {
    shares
        .iter()
        .map(|&(number, share)| (v4(number).to_string(), share))
        .collect()
}

fn ninety_ten() -> Result<()> {
    let mut stage = Stage::raise("ninety", 2)?;
    let split = |proto| {
        Service::new(proto, service_v4(1))
            .to(90, &[v4(1)])
            .to(10, &[v4(2)])
    };
    stage.put(&image([split(Proto::Tcp), split(Proto::Udp)]))?;
    for manner in [Manner::Tcp, Manner::Udp, Manner::UdpConnected] {
        let family = Family::V4;
        let storm = Way { manner, family }.storm(service_v4(1), 350);
        let attempts = storm.run(stage.client()?)?;
        ensure_exact(&attempts, &shares(&[(1, 90), (2, 10)]))?;
    }
    Ok(())
}

fn weighted(purpose: &str, weights: &[u32], count: u64) -> Result<Vec<Attempt>> {
    let mut stage = Stage::raise(purpose, 4)?;
    let mut service = Service::new(Proto::Tcp, service_v4(1));
    for (number, &weight) in (1..).zip(weights) {
        service = service.to(weight, &[v4(number)]);
    }
    stage.put(&image([service]))?;
    Storm::new(service_v4(1), count).run(stage.client()?)
}

fn other_sums() -> Result<()> {
    let attempts = weighted("sums", &[7, 2, 4], 60)?;
    ensure_exact(&attempts, &shares(&[(1, 7), (2, 2), (3, 4)]))?;
    // What has a common divisor repeats sooner.
    let attempts = weighted("divisor", &[50, 25, 25], 60)?;
    ensure_exact(&attempts, &shares(&[(1, 2), (2, 1), (3, 1)]))
}

fn weight_zero() -> Result<()> {
    let attempts = weighted("zero", &[1, 0, 3], 200)?;
    ensure_exact(&attempts, &shares(&[(1, 1), (2, 0), (3, 3)]))
}

fn single() -> Result<()> {
    // Istio: whatever the weight says.
    let attempts = weighted("single", &[0], 10)?;
    ensure_exact(&attempts, &shares(&[(1, 1)]))
}

fn turns() -> Result<()> {
    let mut stage = Stage::raise("turns", 5)?;
    let service = Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1), v4(2), v4(3)])
        .to(10, &[v4(4), v4(5)]);
    stage.put(&image([service]))?;
    let attempts = Storm::new(service_v4(1), 400).run(stage.client()?)?;
    for hundred in attempts.chunks(100) {
        let counts = counts(hundred)?;
        let wanted = [30, 30, 30, 5, 5];
        let wanted = (1..).zip(wanted).map(|(number, count)| (v4(number), count));
        ensure!(counts == wanted.collect(), "{counts:?}");
    }
    Ok(())
}

fn interleaved() -> Result<()> {
    let mut stage = Stage::raise("interleaved", 3)?;
    let first = Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1)])
        .to(10, &[v4(2)]);
    let second = Service::new(Proto::Tcp, service_v4(2))
        .to(33, &[v4(1)])
        .to(33, &[v4(2)])
        .to(34, &[v4(3)]);
    stage.put(&image([first, second]))?;
    let storm = Storm {
        targets: vec![service_v4(1), service_v4(2)],
        ..Storm::new(service_v4(1), 700)
    };
    let attempts = storm.run(stage.client()?)?;
    let of = |number| -> Vec<Attempt> {
        let dialled = |attempt: &&Attempt| attempt.target == service_v4(number);
        attempts.iter().filter(dialled).cloned().collect()
    };
    ensure_exact(&of(1), &shares(&[(1, 90), (2, 10)]))?;
    ensure_exact(&of(2), &shares(&[(1, 33), (2, 33), (3, 34)]))
}

fn several() -> Result<()> {
    let mut stage = Stage::raise("several", 2)?;
    let service = Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1)])
        .to(10, &[v4(2)]);
    stage.put(&image([service]))?;
    let storm = Storm {
        threads: 3,
        ..Storm::new(service_v4(1), 500)
    };
    let (first, second) = (storm.start(stage.client()?)?, storm.start(stage.other()?)?);
    let mut attempts = first.finish()?;
    attempts.extend(second.finish()?);
    let counts = counts(&attempts)?;
    ensure!(counts == [(v4(1), 2700), (v4(2), 300)].into(), "{counts:?}");
    Ok(())
}

/// TCP and UDP of one address are services apart, and so are its ports; what is no service is left
/// as dialled.
fn apart() -> Result<()> {
    let mut stage = Stage::raise("apart", 4)?;
    let other_port = |number| {
        let mut address = service_v4(number);
        address.set_port(81);
        address
    };
    stage.put(&image([
        Service::new(Proto::Tcp, service_v4(1)).to(1, &[v4(1)]),
        Service::new(Proto::Udp, service_v4(1)).to(1, &[v4(2)]),
        Service::new(Proto::Tcp, other_port(1)).to(1, &[v4(3)]),
    ]))?;
    let client = stage.client()?;
    let family = Family::V4;
    for (manner, target, endpoint) in [
        (Manner::Tcp, service_v4(1), v4(1)),
        (Manner::Udp, service_v4(1), v4(2)),
        (Manner::UdpConnected, service_v4(1), v4(2)),
        (Manner::Tcp, other_port(1), v4(3)),
        (Manner::Tcp, v4(4), v4(4)),
        (Manner::Udp, v4(4), v4(4)),
    ] {
        let attempts = Way { manner, family }.storm(target, 2).run(client)?;
        for attempt in &attempts {
            ensure!(attempt.endpoint() == Some(endpoint), "{attempt:?}");
            ensure!(attempt.peer == Some(target), "{attempt:?}");
        }
    }
    // Port 81 speaks no UDP: it is an address like any other, and nobody is there.
    let way = Way {
        manner: Manner::UdpConnected,
        family,
    };
    let storm = Storm {
        timeout: Duration::from_millis(200),
        ..way.storm(other_port(1), 2)
    };
    for attempt in storm.run(client)? {
        ensure!(attempt.endpoint().is_none(), "{attempt:?}");
    }
    Ok(())
}
