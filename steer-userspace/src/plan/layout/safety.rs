//! From any image to any image, a plan is applied step by step to maps in memory, while the kernel learns
//! names from answers. Safe is, after each step:
//!
//! - A class of clients sees each service as before or as wanted. A client that changes its class sees
//!   it as one of the two does.
//! - A policy lets through what it did or will: nothing that neither end allows, and all that both
//!   allow, unless its host loses and gains at once. Of an address its network may say something, the
//!   addresses that the agent found, and those of answers: the first that does counts, until it goes.
//! - A client, or an interface, that changes its policy reaches nothing that neither the old one let
//!   through before nor the new one will. Where policies exchange clients in a circle, it reaches what
//!   one of those two does on its way.
//! - Nothing that is taken away stays open to those who had it, but addresses of names, which end by
//!   themselves.
//! - No row that is in force is written, and an agent that dies is followed by one that finishes.

use proptest::prelude::*;

use super::{Capacity, Layout};
use crate::{image::Image, plan::Step};

mod draw;
mod seen;
mod store;

use draw::Answer;
use seen::Seen;
use store::Store;

const CAPACITY: Capacity = Capacity::for_services(40);

/// Each case is a walk of some hundred states: an eighth of the usual number (`PROPTEST_CASES`).
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases / 8,
        ..usual
    }
}

/// Applies a plan step by step up to `stop`, and holds every state against both ends: the same was
/// learned there.
fn walk(
    store: &mut Store,
    layout: &mut Layout,
    wanted: &Image,
    answers: &[Answer],
    stop: usize,
) -> bool {
    let plan = layout.plan(wanted).unwrap();
    let mut begin = store.clone();
    let mut before = Seen::of(&begin);
    let mut end = store.clone();
    plan.steps.iter().for_each(|step| end.step(step));
    let mut after = Seen::of(&end);
    after.assert_is(wanted);
    for (index, step) in plan.steps.iter().enumerate().take(stop) {
        for answer in answers.iter().filter(|answer| answer.step == index) {
            store.learn(answer.policy, answer.name, answer.address);
            for end in [&mut begin, &mut end] {
                end.live.learned.clone_from(&store.live.learned);
            }
            (before, after) = (Seen::of(&begin), Seen::of(&end));
        }
        store.step(step);
        if is_unseen(step) {
            continue;
        }
        let seen = Seen::of(store);
        let when = format!("after step {index}, {step:?}");
        seen.assert_between(&before, &after, &when);
        store.remember(&seen, &when);
    }
    stop >= plan.steps.len()
}

/// Rows that nobody is led to yet.
fn is_unseen(step: &Step) -> bool {
    matches!(
        step,
        Step::Begin { .. }
            | Step::Finish { .. }
            | Step::StartTickets { .. }
            | Step::StartCounters { .. }
            | Step::Endpoints { .. }
            | Step::Route { .. }
            | Step::AddMember { .. }
            | Step::RemoveMember { .. }
    )
}

proptest! {
    #![proptest_config(config())]

    /// As the title says; between two plans a grace period passes.
    #[test]
    fn every_state_on_the_way_is_as_before_or_as_wanted(
        images in prop::collection::vec((draw::image(), draw::answers()), 2..6),
    ) {
        let mut store = Store::default();
        let mut layout = Layout::new(CAPACITY);
        for (image, answers) in &images {
            walk(&mut store, &mut layout, image, answers, usize::MAX);
            store.assert_revoked();
            layout.reclaim();
        }
    }

    /// An agent that dies after any step, even several times, is followed by one that finishes: on
    /// its way too everything is as it was when it died or as wanted, and nothing that was taken
    /// away on either way stays open to those who had it.
    #[test]
    fn whoever_dies_on_the_way_is_followed_by_one_that_finishes(
        first in draw::image(),
        ways in prop::collection::vec((draw::image(), draw::answers(), 0_usize..80), 1..4),
    ) {
        let mut store = Store::default();
        let mut layout = Layout::new(CAPACITY);
        walk(&mut store, &mut layout, &first, &[], usize::MAX);
        for (wanted, answers, stop) in &ways {
            layout.reclaim();
            walk(&mut store, &mut layout, wanted, answers, *stop);
            layout = Layout::adopt(CAPACITY, &store.live, &layout.names());
        }
        let (wanted, ..) = ways.last().unwrap();
        let finished = walk(&mut store, &mut layout, wanted, &[], usize::MAX);
        prop_assert!(finished && store.live.applying == 0);
        prop_assert_eq!(store.live.generation, layout.generation());
        store.assert_revoked();
        prop_assert!(layout.plan(wanted).unwrap().is_empty());
    }
}
