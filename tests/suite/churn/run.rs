//! The churn: an engine that is given one image after another, and clients that do not stop.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
};
use steer_tests::{
    client::{Attempt, Running, Storm, Until},
    figure::{Figure, Goal},
    harness::{full, test},
    lab::Network,
    link::{self, Route},
    netns,
    pod::Pod,
};

use crate::{
    chance::Chance,
    common::{service::identity, stage::Stage},
    history::{Ending, History, Judgement},
    world::{ENDPOINTS, World, number},
};

/// Clients that connect, each with its own class.
const PODS: [&str; 2] = ["client", "other"];
/// Threads of each.
const THREADS: u32 = 2;
/// What clients saw is judged after so many changes, and so much time.
const ROUND: u64 = 1_000;
const ROUND_MIN: Duration = Duration::from_secs(1);
/// Changes in all.
const CHANGES: u64 = 3_000;
const CHANGES_FULL: u64 = 100_000;
const SEED: u64 = 1;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("churn::every_connection_lands_where_it_should", churn),
        test("churn::a_change_that_nobody_noted_is_caught", caught),
    ]
}

/// What came of all rounds.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    changes: u64,
    connects: u64,
    failed: u64,
    astray: u64,
}

/// Of the run that counts.
static COUNTS: Mutex<Option<Counts>> = Mutex::new(None);

/// The figures of the run; none if it was not run.
pub(crate) fn figures() -> Vec<Figure> {
    let counts = *COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(counts) = counts else {
        return Vec::new();
    };
    let none = Goal::AtMost(0.0);
    let changes = Figure::count("churn.changes", counts.changes);
    vec![
        if full() {
            changes.goal(Goal::AtLeast(100_000.0))
        } else {
            changes
        },
        Figure::count("churn.connects", counts.connects),
        Figure::count("churn.failed", counts.failed).goal(none),
        Figure::count("churn.astray", counts.astray).goal(none),
    ]
}

/// The lab, what was changed in it, and what is known of it.
struct Churn {
    stage: Stage,
    world: World,
    chance: Chance,
    /// By pod, then by service.
    histories: Vec<Vec<History>>,
}

impl Churn {
    fn raise(purpose: &str, seed: u64) -> Result<Self> {
        let stage = Stage::raise(purpose, ENDPOINTS)?;
        let mut pods = Vec::new();
        for name in PODS {
            let pod = stage.lab.pod(name)?;
            refuse_services(pod)?;
            pods.push(identity(pod)?);
        }
        let world = World::new(pods);
        let services = world.targets().len();
        let of_pod = |pod| {
            let view = |service| History::new(world.view(pod, service));
            (0..services).map(view).collect()
        };
        let histories = (0..PODS.len()).map(of_pod).collect();
        let mut churn = Self {
            stage,
            chance: Chance::new(seed),
            histories,
            world,
        };
        churn.hand_over()?;
        Ok(churn)
    }

    /// Hands the world to the engine, as the watcher does.
    fn hand_over(&mut self) -> Result<usize> {
        Ok(self.stage.put(&self.world.image())?.services_changed)
    }

    /// One change, noted.
    fn change(&mut self) -> Result<()> {
        self.world.change(&mut self.chance);
        let began = now()?;
        let changed = self.hand_over()?;
        let ended = now()?;
        ensure!(changed > 0, "a change that changes nothing");
        for (pod, histories) in self.histories.iter_mut().enumerate() {
            for (service, history) in histories.iter_mut().enumerate() {
                history.change(began, ended, self.world.view(pod, service));
            }
        }
        Ok(())
    }

    fn storms(&self) -> Result<Vec<Running>> {
        let targets = self.world.targets();
        let storm = Storm {
            threads: THREADS,
            until: Until::Told,
            ..Storm::new(targets[0], 0)
        };
        let storm = Storm { targets, ..storm };
        let start = |name| storm.start(self.stage.lab.pod(name)?);
        PODS.into_iter().map(start).collect()
    }

    fn judge(&self, pod: usize, attempt: &Attempt) -> Result<Judgement> {
        let targets = self.world.targets();
        let service = targets.iter().position(|target| *target == attempt.target);
        let service = service.context("a service that was dialled")?;
        let end = attempt.start_ns + attempt.total_ns;
        Ok(self.histories[pod][service].judge(attempt.start_ns, end, ending(attempt)))
    }

    /// Clients connect, and nothing changes for a while.
    fn look_on(&mut self, counts: &mut Counts) -> Result<Vec<Attempt>> {
        self.round(counts, |_, _| {
            thread::sleep(ROUND_MIN / 4);
            Ok(())
        })
    }

    /// Clients connect while `work` is done; then what they saw is judged. Says what was not right.
    fn round(
        &mut self,
        counts: &mut Counts,
        work: impl FnOnce(&mut Self, &mut Counts) -> Result<()>,
    ) -> Result<Vec<Attempt>> {
        let histories = self.histories.iter_mut().flatten();
        histories.for_each(History::forget);
        let storms = self.storms()?;
        work(self, counts)?;
        let mut wrong = Vec::new();
        for (pod, storm) in storms.into_iter().enumerate() {
            let attempts = storm.finish()?;
            ensure!(!attempts.is_empty(), "{} did nothing", PODS[pod]);
            counts.connects += attempts.len() as u64;
            for attempt in attempts {
                match self.judge(pod, &attempt)? {
                    Judgement::Right => continue,
                    Judgement::Failed => counts.failed += 1,
                    Judgement::Astray => counts.astray += 1,
                }
                wrong.push(attempt);
            }
        }
        Ok(wrong)
    }
}

fn churn() -> Result<()> {
    let wanted = if full() { CHANGES_FULL } else { CHANGES };
    let mut churn = Churn::raise("churn", SEED)?;
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    while counts.changes < wanted {
        let found = churn.round(&mut counts, |churn, counts| {
            let started = Instant::now();
            let enough = counts.changes + ROUND;
            while counts.changes < enough || started.elapsed() < ROUND_MIN {
                churn.change()?;
                counts.changes += 1;
            }
            Ok(())
        })?;
        wrong.extend(found);
        *COUNTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts);
    }
    ensure!(
        wrong.is_empty(),
        "{counts:?}; the first: {:#?}",
        &wrong[..wrong.len().min(5)]
    );
    ensure!(
        counts.connects > counts.changes / 2,
        "hardly a storm: {counts:?}"
    );
    Ok(())
}

/// The measure itself: a service is given endpoints of another, and the histories do not know.
fn caught() -> Result<()> {
    let mut churn = Churn::raise("caught", SEED)?;
    let mut counts = Counts::default();
    let calm = churn.look_on(&mut counts)?;
    ensure!(calm.is_empty(), "nothing changed: {:?}", calm.first());
    churn.world.lead_astray();
    churn.hand_over()?;
    let astray = churn.look_on(&mut counts)?;
    ensure!(counts.failed == 0 && counts.astray > 0, "{counts:?}");
    let of_it = |attempt: &Attempt| attempt.target == churn.world.targets()[0];
    ensure!(astray.iter().all(of_it), "{astray:?}");
    Ok(())
}

/// How an attempt ended. A peer that is not what was dialled is a failure as well.
fn ending(attempt: &Attempt) -> Ending {
    match (attempt.error.as_deref(), attempt.endpoint()) {
        (None, Some(endpoint)) if attempt.peer == Some(attempt.target) => {
            Ending::Landed(number(endpoint))
        }
        (Some("EHOSTUNREACH" | "ENETUNREACH"), _) => Ending::LeftAsDialled,
        _ => Ending::Failed,
    }
}

/// Whoever is not steered learns at once that there is no way to a service's address.
fn refuse_services(pod: &Pod) -> Result<()> {
    netns::netlink(pod.net(), |handle| async move {
        for services in Network::default().services {
            link::add_route(&handle, Route::unreachable(services)).await?;
        }
        Ok(())
    })
}

/// Nanoseconds of the clock that clients report.
fn now() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(time.num_nanoseconds())?)
}
