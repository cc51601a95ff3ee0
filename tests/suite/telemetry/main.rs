//! What an agent counts, as Kiali reads it: who talks with whom, and how much of a service's traffic each
//! version gets.

#![expect(
    clippy::float_cmp,
    reason = "counts are whole numbers, which are exact"
)]

mod edges;
mod kiali;
mod lasting;
mod refused;
mod scrape;
mod stage;
mod told;
mod top;

use std::process::ExitCode;

use steer_tests::harness::{self, Pace};

fn main() -> ExitCode {
    let tests = [
        edges::tests(),
        lasting::tests(),
        told::tests(),
        top::tests(),
        refused::tests(),
    ];
    harness::measure(
        Pace::Works,
        tests.into_iter().flatten().collect(),
        edges::figures,
    )
}
