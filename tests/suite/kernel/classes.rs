//! Clients of a class see rows of their own.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_common::{addr::Proto, reason::Reason};
use steer_tests::{
    client::{Attempt, Storm},
    harness::test,
    pod::Pod,
};

use crate::{
    check::{counts, service_v4, ways},
    common::{
        service::{Service, classify, image},
        stage::{Stage, v4},
    },
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("classes::a_class_sees_its_own_row_in_every_way", own_row),
        test(
            "classes::a_class_without_a_row_sees_what_everyone_sees",
            no_row,
        ),
        test("classes::hidden_from_everyone_but_a_class", hidden_from_all),
        test("classes::hidden_from_a_class_alone", hidden_from_one),
        test("classes::a_pod_changes_its_class", changes),
        test("classes::splits_of_classes_are_exact_apart", splits),
    ]
}

fn service(number: u8, endpoint: u8) -> Service {
    Service::new(Proto::Tcp, service_v4(number)).to(1, &[v4(endpoint)])
}

/// The endpoint that all connections of `pod` reach.
fn ensure_lands(pod: &Pod, endpoint: SocketAddr) -> Result<()> {
    let counts = counts(&Storm::new(service_v4(1), 4).run(pod)?)?;
    ensure!(
        counts == [(endpoint, 4)].into(),
        "{} reached {counts:?}, not {endpoint}",
        pod.name()
    );
    Ok(())
}

/// The connections of `pod` are left as dialled, and that the service is not visible is the reason.
fn ensure_unseen(stage: &mut Stage, pod: &str) -> Result<()> {
    let before = stage.live()?.reasons[&Reason::NotVisible];
    let storm = Storm {
        timeout: std::time::Duration::from_millis(100),
        ..Storm::new(service_v4(1), 2)
    };
    let attempts: Vec<Attempt> = storm.run(stage.lab.pod(pod)?)?;
    for attempt in &attempts {
        ensure!(
            attempt.error.is_some() && attempt.outcome() != "ECONNREFUSED",
            "{attempt:?}"
        );
    }
    let counted = stage.live()?.reasons[&Reason::NotVisible] - before;
    ensure!(counted == 2, "{counted} were not visible");
    Ok(())
}

fn own_row() -> Result<()> {
    let mut stage = Stage::raise("own-row", 3)?;
    let rows = ways().flat_map(|way| {
        let row = |number| Service::new(way.proto(), way.service(1)).to(1, &[way.endpoint(number)]);
        [row(1), row(2).seen_by(5), row(3).seen_by(6)]
    });
    let mut image = image(rows);
    classify(&mut image, stage.client()?, 5)?;
    stage.put(&image)?;
    for way in ways() {
        for (pod, number) in [("client", 2), ("other", 1)] {
            let storm = way.storm(way.service(1), 3);
            let counts = counts(&storm.run(stage.lab.pod(pod)?)?)?;
            ensure!(
                counts == [(way.endpoint(number), 3)].into(),
                "{way:?}, {pod}: {counts:?}"
            );
        }
    }
    Ok(())
}

fn no_row() -> Result<()> {
    let mut stage = Stage::raise("no-row", 2)?;
    let mut image = image([service(1, 1), service(1, 2).seen_by(5)]);
    classify(&mut image, stage.client()?, 7)?;
    classify(&mut image, stage.other()?, 0)?;
    stage.put(&image)?;
    ensure_lands(stage.client()?, v4(1))?;
    ensure_lands(stage.other()?, v4(1))
}

fn hidden_from_all() -> Result<()> {
    let mut stage = Stage::raise("hidden-all", 1)?;
    let everyone = Service::new(Proto::Tcp, service_v4(1)).hidden();
    let mut image = image([everyone, service(1, 1).seen_by(5)]);
    classify(&mut image, stage.client()?, 5)?;
    stage.put(&image)?;
    ensure_lands(stage.client()?, v4(1))?;
    // No class at all, and a class that has no row.
    ensure_unseen(&mut stage, "other")?;
    classify(&mut image, stage.other()?, 6)?;
    stage.put(&image)?;
    ensure_unseen(&mut stage, "other")
}

fn hidden_from_one() -> Result<()> {
    let mut stage = Stage::raise("hidden-one", 1)?;
    let hidden = Service::new(Proto::Tcp, service_v4(1)).hidden().seen_by(5);
    let mut image = image([service(1, 1), hidden]);
    classify(&mut image, stage.client()?, 5)?;
    stage.put(&image)?;
    ensure_unseen(&mut stage, "client")?;
    ensure_lands(stage.other()?, v4(1))
}

fn changes() -> Result<()> {
    let mut stage = Stage::raise("changes", 3)?;
    let rows = [
        service(1, 1),
        service(1, 2).seen_by(1),
        service(1, 3).seen_by(2),
    ];
    let plain = image(rows);
    for class in [1, 2, 0, 2, 1] {
        let mut image = plain.clone();
        classify(&mut image, stage.client()?, class)?;
        stage.put(&image)?;
        let number = u8::try_from(class)? + 1;
        ensure_lands(stage.client()?, v4(number))?;
        ensure_lands(stage.other()?, v4(1))?;
    }
    // Forgotten, it is anyone.
    stage.put(&plain)?;
    ensure_lands(stage.client()?, v4(1))?;
    // The rows go while the pod has its class.
    let mut image = image([service(1, 1)]);
    classify(&mut image, stage.client()?, 2)?;
    stage.put(&image)?;
    ensure_lands(stage.client()?, v4(1))
}

/// Each class draws from its own tickets: neither makes the other's split uneven.
fn splits() -> Result<()> {
    let mut stage = Stage::raise("class-splits", 2)?;
    let row = || {
        Service::new(Proto::Tcp, service_v4(1))
            .to(90, &[v4(1)])
            .to(10, &[v4(2)])
    };
    let mut image = image([row(), row().seen_by(1)]);
    classify(&mut image, stage.client()?, 1)?;
    stage.put(&image)?;
    let storm = Storm::new(service_v4(1), 500);
    let (first, second) = (storm.start(stage.client()?)?, storm.start(stage.other()?)?);
    let shares = [(v4(1).to_string(), 90), (v4(2).to_string(), 10)];
    for attempts in [first.finish()?, second.finish()?] {
        crate::check::ensure_exact(&attempts, &shares)?;
    }
    Ok(())
}
