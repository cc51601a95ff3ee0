//! From any image to any image, a plan is applied step by step to maps in memory. After each step
//! every client sees each service, and is let through or refused, as before or as wanted; and an
//! agent that dies there is followed by one that finishes.

use proptest::prelude::*;

use super::{Capacity, Layout};
use crate::{image::Image, plan::Step};

mod draw;
mod seen;
mod store;

use seen::Seen;
use store::Store;

const CAPACITY: Capacity = Capacity::for_services(40);

/// Each case is a walk of some hundred states: a quarter of the usual number (`PROPTEST_CASES`).
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases / 4,
        ..usual
    }
}

/// Applies a plan step by step up to `stop`, and holds every state against both ends.
fn walk(store: &mut Store, layout: &mut Layout, wanted: &Image, stop: usize) -> bool {
    let plan = layout.plan(wanted).unwrap();
    let before = Seen::of(store);
    let mut end = store.clone();
    plan.steps.iter().for_each(|step| end.step(step));
    let after = Seen::of(&end);
    after.assert_is(wanted);
    for (index, step) in plan.steps.iter().enumerate().take(stop) {
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
        images in prop::collection::vec(draw::image(), 2..6),
    ) {
        let mut store = Store::default();
        let mut layout = Layout::new(CAPACITY);
        for image in &images {
            walk(&mut store, &mut layout, image, usize::MAX);
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
        ways in prop::collection::vec((draw::image(), 0_usize..80), 1..4),
    ) {
        let mut store = Store::default();
        let mut layout = Layout::new(CAPACITY);
        walk(&mut store, &mut layout, &first, usize::MAX);
        for (wanted, stop) in &ways {
            layout.reclaim();
            walk(&mut store, &mut layout, wanted, *stop);
            layout = Layout::adopt(CAPACITY, &store.live, &layout.names());
        }
        let (wanted, _) = ways.last().unwrap();
        let finished = walk(&mut store, &mut layout, wanted, usize::MAX);
        prop_assert!(finished && store.live.applying == 0);
        prop_assert_eq!(store.live.generation, layout.generation());
        store.assert_revoked();
        prop_assert!(layout.plan(wanted).unwrap().is_empty());
    }
}
