//! `sessionAffinity: ClientIP`: a pod keeps its endpoint, as long as that holds.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_common::{addr::Proto, reason::Reason};
use steer_tests::{client::Storm, harness::test, pod::Pod};

use crate::{
    check::{counts, service_v4, ways},
    common::{
        service::{Service, image},
        stage::{Stage, v4},
    },
};

/// Longer than any test takes.
const LONG: u32 = 10_800;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("affinity::a_pod_keeps_its_endpoint", keeps),
        test("affinity::a_ticket_is_drawn_without_memory_only", tickets),
        test("affinity::it_ends_after_its_time", timeout),
        test("affinity::an_endpoint_that_left_is_not_kept", left),
        test(
            "affinity::a_destination_of_weight_0_is_not_kept",
            weight_zero,
        ),
        test("affinity::it_survives_other_endpoints", others_change),
        test("affinity::services_are_remembered_apart", apart),
    ]
}

/// One service with affinity and these destinations.
fn put(stage: &mut Stage, seconds: u32, destinations: &[(u32, &[SocketAddr])]) -> Result<()> {
    let mut service = Service::new(Proto::Tcp, service_v4(1)).affinity(seconds);
    for (weight, endpoints) in destinations {
        service = service.to(*weight, endpoints);
    }
    stage.put(&image([service]))?;
    Ok(())
}

/// The one endpoint that all connections of a pod reach.
fn kept(pod: &Pod) -> Result<SocketAddr> {
    let counts = counts(&Storm::new(service_v4(1), 8).run(pod)?)?;
    let mut endpoints = counts.keys();
    match (endpoints.next(), endpoints.next()) {
        (Some(&endpoint), None) => Ok(endpoint),
        _ => anyhow::bail!("{} reached {counts:?}", pod.name()),
    }
}

/// How many tickets the only split has given out.
fn drawn(stage: &mut Stage) -> Result<u64> {
    let live = stage.live()?;
    let (_, tickets) = live.tickets.first_key_value().context("a split")?;
    Ok(*tickets)
}

fn keeps() -> Result<()> {
    let mut stage = Stage::raise("keeps", 4)?;
    let services = ways().map(|way| {
        let endpoints = [1, 2, 3, 4].map(|number| way.endpoint(number));
        Service::new(way.proto(), way.service(1))
            .affinity(LONG)
            .to(1, &endpoints)
    });
    stage.put(&image(services))?;
    for way in ways() {
        let storm = way.storm(way.service(1), 6);
        let mut first = counts(&storm.run(stage.client()?)?)?;
        let mut second = counts(&storm.run(stage.other()?)?)?;
        ensure!(
            first.len() == 1 && second.len() == 1,
            "{way:?}: {first:?} {second:?}"
        );
        // The other pod drew a ticket of its own.
        ensure!(first.pop_first() != second.pop_first(), "{way:?}");
    }
    Ok(())
}

fn tickets() -> Result<()> {
    let mut stage = Stage::raise("tickets", 4)?;
    put(&mut stage, LONG, &[(1, &[v4(1), v4(2), v4(3), v4(4)])])?;
    ensure!(drawn(&mut stage)? == 0);
    let remembered = stage.live()?.reasons[&Reason::Remembered];
    kept(stage.client()?)?;
    ensure!(drawn(&mut stage)? == 1);
    kept(stage.client()?)?;
    ensure!(drawn(&mut stage)? == 1);
    kept(stage.other()?)?;
    ensure!(drawn(&mut stage)? == 2);
    let live = stage.live()?;
    let remembered = live.reasons[&Reason::Remembered] - remembered;
    ensure!(remembered == 3 * 8 - 2, "{remembered} were remembered");
    // Remembered connections count for their destination as drawn ones do.
    let counted: u64 = live.counters.values().sum();
    ensure!(counted == 3 * 8, "{counted} were counted");
    Ok(())
}

/// How long an endpoint is kept, in seconds: far longer than the client takes on a busy machine.
const SHORT: u32 = 6;

/// The time counts from the last connection, not from the first.
fn timeout() -> Result<()> {
    let mut stage = Stage::raise("timeout", 4)?;
    put(&mut stage, SHORT, &[(1, &[v4(1), v4(2), v4(3), v4(4)])])?;
    let endpoint = kept(stage.client()?)?;
    // In all longer than it is kept.
    for _ in 0..4 {
        thread::sleep(Duration::from_secs(2));
        ensure!(kept(stage.client()?)? == endpoint);
    }
    ensure!(drawn(&mut stage)? == 1);
    thread::sleep(Duration::from_secs(SHORT.into()) + Duration::from_millis(100));
    // The second ticket belongs to the next endpoint.
    ensure!(kept(stage.client()?)? != endpoint);
    ensure!(drawn(&mut stage)? == 2);
    Ok(())
}

fn left() -> Result<()> {
    let mut stage = Stage::raise("left", 3)?;
    let all = [v4(1), v4(2), v4(3)];
    put(&mut stage, LONG, &[(1, &all)])?;
    let endpoint = kept(stage.client()?)?;
    let rest: Vec<SocketAddr> = all.into_iter().filter(|&other| other != endpoint).collect();
    put(&mut stage, LONG, &[(1, &rest)])?;
    let next = kept(stage.client()?)?;
    ensure!(rest.contains(&next), "{next} left");
    // It comes back: the pod has a new endpoint now and keeps that.
    put(&mut stage, LONG, &[(1, &all)])?;
    ensure!(kept(stage.client()?)? == next);
    Ok(())
}

fn weight_zero() -> Result<()> {
    let mut stage = Stage::raise("weight", 2)?;
    let (one, two) = ([v4(1)], [v4(2)]);
    put(&mut stage, LONG, &[(1, &one), (1, &two)])?;
    let endpoint = kept(stage.client()?)?;
    let weights = if endpoint == v4(1) { [0, 1] } else { [1, 0] };
    put(&mut stage, LONG, &[(weights[0], &one), (weights[1], &two)])?;
    ensure!(kept(stage.client()?)? != endpoint);
    Ok(())
}

fn others_change() -> Result<()> {
    let mut stage = Stage::raise("others", 4)?;
    put(&mut stage, LONG, &[(1, &[v4(1), v4(2), v4(3)])])?;
    let endpoint = kept(stage.client()?)?;
    // Its place in the range, the range, the weights and the destination's place all change.
    for destinations in [
        &[(1, &[v4(4), endpoint][..])][..],
        &[(9, &[v4(4)][..]), (1, &[endpoint])],
        &[(1, &[endpoint][..]), (99, &[v4(4)])],
    ] {
        put(&mut stage, LONG, destinations)?;
        ensure!(kept(stage.client()?)? == endpoint, "{destinations:?}");
    }
    ensure!(drawn(&mut stage)? == 1);
    Ok(())
}

fn apart() -> Result<()> {
    let mut stage = Stage::raise("remembered", 4)?;
    let service = |number: u8, endpoints: [u8; 2]| {
        Service::new(Proto::Tcp, service_v4(number))
            .affinity(LONG)
            .to(1, &endpoints.map(v4))
    };
    stage.put(&image([service(1, [1, 2]), service(2, [3, 4])]))?;
    let storm = Storm {
        targets: vec![service_v4(1), service_v4(2)],
        ..Storm::new(service_v4(1), 12)
    };
    let counts = counts(&storm.run(stage.client()?)?)?;
    let each: Vec<_> = counts.values().collect();
    ensure!(each == [&6, &6], "{counts:?}");
    Ok(())
}
