//! An engine that ends, and one that takes over what it left.

use std::{collections::BTreeSet, fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::{
    control::{Engine, EngineError, EngineSettings, Lock, LockError},
    image::Image,
    kernel::{KernelError, KernelSettings, MAPS, PROGRAMS},
    plan::Capacity,
};
use steer_common::addr::Proto;
use steer_tests::{
    client::{Attempt, Storm, Until},
    harness::test,
};

use crate::{
    check::{ensure_exact, landed, service_v4},
    common::{
        service::{Service, classify, image},
        stage::{Stage, v4},
    },
    hooks,
};

/// How often an engine is replaced under a storm.
const RESTARTS: u32 = 4;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("restart::every_map_and_link_is_pinned", pinned),
        test(
            "restart::connections_are_steered_without_an_engine",
            without,
        ),
        test("restart::a_new_engine_adopts_rows_and_tickets", adopts),
        test("restart::no_connection_fails_meanwhile", storm),
        test("restart::nor_without_the_names", nameless),
        test("restart::another_capacity_is_refused", capacity),
        test("restart::a_second_agent_is_refused", lock),
    ]
}

fn ninety_ten() -> Service {
    Service::new(Proto::Tcp, service_v4(1))
        .to(90, &[v4(1), v4(2)])
        .to(10, &[v4(3)])
}

/// Several kinds of rows.
fn rich(stage: &Stage) -> Result<Image> {
    let mut image = image([
        ninety_ten(),
        ninety_ten().seen_by(1),
        Service::new(Proto::Udp, service_v4(1)).to(1, &[v4(1), v4(2)]),
        Service::new(Proto::Tcp, service_v4(2))
            .affinity(100)
            .to(1, &[v4(1), v4(3)]),
        Service::new(Proto::Tcp, service_v4(3)),
        Service::new(Proto::Tcp, service_v4(4))
            .to(1, &[])
            .to(2, &[v4(1)]),
        Service::new(Proto::Tcp, service_v4(5)).hidden(),
    ]);
    classify(&mut image, stage.other()?, 1)?;
    Ok(image)
}

fn pinned() -> Result<()> {
    let stage = Stage::raise("pinned", 1)?;
    let mut versions = fs::read_dir(stage.lab.dirs().pins())?;
    let version = versions.next().context("a directory of pins")??.path();
    ensure!(versions.next().is_none(), "two versions are pinned");
    let names = |path: &Path| -> Result<BTreeSet<String>> {
        let entries = fs::read_dir(path)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    let wanted = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let found = [
        names(&version.join("maps"))?,
        names(&version.join("links"))?,
    ];
    // Those that see packets, or what becomes of connections, come with the first rule that needs them.
    let rests = |name: &&str| {
        ["skb", "sockops", "tap"]
            .iter()
            .any(|part| name.contains(part))
    };
    let sockets: Vec<_> = PROGRAMS
        .iter()
        .copied()
        .filter(|name| !rests(name))
        .collect();
    ensure!(found == [wanted(&MAPS), wanted(&sockets)], "{found:?}");
    hooks::ensure_one_each(&stage.lab)
}

fn without() -> Result<()> {
    let mut stage = Stage::raise("without", 3)?;
    stage.put(&image([ninety_ten()]))?;
    stage.end();
    let attempts = Storm::new(service_v4(1), 250).run(stage.client()?)?;
    let shares = [(1, 45), (2, 45), (3, 10)];
    ensure_exact(
        &attempts,
        &shares.map(|(n, share)| (v4(n).to_string(), share)),
    )?;
    hooks::ensure_one_each(&stage.lab)
}

fn adopts() -> Result<()> {
    let mut stage = Stage::raise("adopts", 3)?;
    let image = rich(&stage)?;
    stage.put(&image)?;
    let storm = Storm {
        targets: vec![service_v4(1), service_v4(2)],
        ..Storm::new(service_v4(1), 60)
    };
    storm.run(stage.client()?)?;
    let (before, generation) = (stage.live()?, stage.engine()?.generation());
    for _ in 0..2 {
        stage.start()?;
        ensure!(stage.engine()?.generation() == generation);
        let live = stage.live()?;
        ensure!(live.services == before.services && live.routes == before.routes);
        ensure!(live.endpoints == before.endpoints && live.sources == before.sources);
        ensure!(live.tickets == before.tickets && live.members == before.members);
        ensure!(live.counters == before.counters && live.reasons == before.reasons);
        // It knows what is there: the same image changes nothing.
        let applied = stage.put(&image)?;
        ensure!(applied.steps == 0, "{applied:?}");
        ensure!(applied.generation == generation, "{applied:?}");
        hooks::ensure_one_each(&stage.lab)?;
    }
    let mut next = image.clone();
    next.routes.pop_last();
    let applied = stage.put(&next)?;
    ensure!(applied.generation == generation + 1, "{applied:?}");
    ensure!(applied.services_changed == 1, "{applied:?}");
    Ok(())
}

/// Engines come and go while clients connect; `between` is done while there is none.
fn under_storm(purpose: &str, between: impl Fn(&Stage) -> Result<()>) -> Result<Vec<Attempt>> {
    let mut stage = Stage::raise(purpose, 3)?;
    let image = image([ninety_ten(), ninety_ten().seen_by(1)]);
    stage.put(&image)?;
    let paced = Storm {
        until: Until::Told,
        rate: Some(1000),
        ..Storm::new(service_v4(1), 0)
    };
    let fast = Storm {
        rate: None,
        threads: 2,
        ..paced.clone()
    };
    let mut classified = image.clone();
    classify(&mut classified, stage.other()?, 1)?;
    stage.put(&classified)?;
    let (single, storm) = (paced.start(stage.client()?)?, fast.start(stage.other()?)?);
    for _ in 0..RESTARTS {
        thread::sleep(Duration::from_millis(100));
        stage.end();
        between(&stage)?;
        thread::sleep(Duration::from_millis(100));
        stage.start()?;
        stage.put(&classified)?;
    }
    thread::sleep(Duration::from_millis(100));
    let attempts = single.finish()?;
    let others = storm.finish()?;
    ensure!(others.len() > 1000, "{} attempts", others.len());
    for attempt in attempts.iter().chain(&others) {
        landed(attempt)?;
        ensure!(attempt.peer == Some(service_v4(1)), "{attempt:?}");
    }
    hooks::ensure_one_each(&stage.lab)?;
    Ok(attempts)
}

fn storm() -> Result<()> {
    let attempts = under_storm("restarts", |_| Ok(()))?;
    // Tickets go on: the split is exact across all engines.
    let shares = [(1, 45), (2, 45), (3, 10)];
    ensure_exact(
        &attempts,
        &shares.map(|(n, share)| (v4(n).to_string(), share)),
    )
}

/// Without names every row is replaced once, by copies; splits and their tickets go on.
fn nameless() -> Result<()> {
    let attempts = under_storm("nameless", |stage| {
        fs::remove_file(stage.lab.dirs().state().join("names.jsonl")).context("remove the names")
    })?;
    let shares = [(1, 45), (2, 45), (3, 10)];
    ensure_exact(
        &attempts,
        &shares.map(|(n, share)| (v4(n).to_string(), share)),
    )
}

fn capacity() -> Result<()> {
    let mut stage = Stage::raise("capacity", 3)?;
    stage.put(&image([ninety_ten()]))?;
    stage.end();
    let settings = stage.settings();
    let larger = EngineSettings {
        kernel: KernelSettings {
            capacity: Capacity::for_services(5_000),
            ..settings.kernel
        },
        ..settings
    };
    match Engine::start(larger) {
        Err(EngineError::Kernel(KernelError::ShapeDiffers { .. })) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => anyhow::bail!("maps of another size were taken"),
    }
    // What was in force still is.
    let attempts = Storm::new(service_v4(1), 150).run(stage.client()?)?;
    let shares = [(1, 45), (2, 45), (3, 10)];
    ensure_exact(
        &attempts,
        &shares.map(|(n, share)| (v4(n).to_string(), share)),
    )?;
    hooks::ensure_one_each(&stage.lab)?;
    stage.start()?;
    ensure!(stage.put(&image([ninety_ten()]))?.steps == 0);
    Ok(())
}

fn lock() -> Result<()> {
    let stage = Stage::raise("lock", 1)?;
    let directory = stage.lab.dirs().state();
    let first = Lock::take(&directory)?;
    match Lock::take(&directory) {
        Err(LockError::Taken { pid }) => {
            ensure!(pid == std::process::id().to_string(), "pid {pid}");
        }
        other => anyhow::bail!("the second took {other:?}"),
    }
    drop(first);
    Lock::take(&directory)?;
    Ok(())
}
