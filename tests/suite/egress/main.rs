//! The egress guard, attacked. Each attempt is made twice: without a policy, where it must get
//! through, and under `REGISTRY_ONLY`, where it must not.

mod case;
mod ground;
mod guard;
mod lasting;
mod learned;
mod list;
mod player;
mod race;
mod registry;
mod remains;
mod rows;
mod stage;
mod tally;

use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};
use steer_tests::harness::{self, Pace, test};

use crate::stage::Way;

fn main() -> ExitCode {
    let own_ground = [
        test(
            "lasting::a_name_ends_its_connections_stay",
            lasting::name_ends,
        ),
        test("lasting::taken_away_is_cut_off", lasting::taken_away),
        test(
            "lasting::attacks_after_the_agent_was_killed",
            lasting::orphaned,
        ),
        test(
            "lasting::attacks_of_a_pod_that_no_agent_has_seen",
            lasting::unseen,
        ),
        test(
            "lasting::attacks_that_only_the_veth_sees",
            lasting::veth_alone,
        ),
        test(
            "lasting::what_was_learned_outlives_another_layout",
            lasting::another_layout,
        ),
        test("remains::is_told_to_users", remains::is_told),
        test("learned::applied_and_the_same_passes", learned::applied),
        test("race::while_an_agent_runs", race::alive),
        test("race::after_it_was_killed", race::orphaned),
    ];
    // Cases share a ground, which one at a time is tried on: those of both go side by side, after what has
    // a ground of its own.
    let cases = (1..).zip(list::CASES).flat_map(|(number, case)| {
        [("rows", Way::Rows), ("agent", Way::Agent)].map(|(name, way)| {
            Trial::test(format!("{name}::{}", case.name), move || {
                let tried = stage::try_case(way, number);
                tried.map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
    });
    harness::measure(
        Pace::Waits,
        own_ground.into_iter().chain(cases).collect(),
        || {
            stage::end();
            tally::figures()
        },
    )
}
