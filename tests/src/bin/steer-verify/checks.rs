//! The checks: tests of the suites, which raise a lab, put the programs in force and dial.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use steer_tests::harness;

/// Names the directory of the suites' programs.
const SUITES: &str = "STEER_VERIFY_SUITES";

/// What is checked, and the test of the suite `kernel` that does it; of another, if it is named.
const CHECKS: [(&str, &str); 22] = [
    (
        "every way to dial is steered",
        "split::every_way_lands_on_every_endpoint",
    ),
    (
        "90/10 is exact in any window",
        "split::ninety_ten_in_any_window",
    ),
    (
        "several clients are exact in total",
        "split::several_clients_are_exact_in_total",
    ),
    (
        "no endpoint: refused at once",
        "refuse::no_endpoint_in_every_way",
    ),
    (
        "a pod keeps its endpoint (affinity)",
        "affinity::a_pod_keeps_its_endpoint",
    ),
    (
        "a class of clients has its own rules",
        "classes::a_class_sees_its_own_row_in_every_way",
    ),
    (
        "getpeername says what was dialled",
        "dialled::a_tcp_socket_dials_again",
    ),
    (
        "recvmsg says what was asked",
        "dialled::one_udp_socket_asks_several_services",
    ),
    (
        "a closed socket is forgotten",
        "dialled::a_closed_tcp_socket_is_forgotten",
    ),
    (
        "counters equal what clients saw",
        "counters::every_reason_equals_what_clients_saw",
    ),
    (
        "what is not named is refused",
        "egress::what_is_not_named_is_refused",
    ),
    (
        "what is named is reached",
        "egress::what_is_named_is_reached",
    ),
    ("audit refuses nothing", "egress::audit_refuses_nothing"),
    (
        "a name is learned before the pod sees it",
        "egress::names_are_learned_before_the_pod_sees_them",
    ),
    (
        "what must not be learned is not",
        "egress::what_must_not_be_learned_is_not",
    ),
    ("frames at the veth", "veth::frames"),
    (
        "a raw connection is reset at the veth",
        "veth::what_has_no_cgroup_is_reset",
    ),
    (
        "the guard at the veth stays until it is unloaded",
        "veth::it_stays_without_an_engine_until_unloaded",
    ),
    (
        "names of one address are told apart",
        "hello::names_on_an_address_of_many",
    ),
    (
        "traffic goes on without an agent",
        "restart::connections_are_steered_without_an_engine",
    ),
    (
        "a new agent adopts rows and tickets",
        "restart::a_new_engine_adopts_rows_and_tickets",
    ),
    (
        "steer agent splits by YAML, is killed, and takes over again",
        "agent/life::started_again_it_takes_over",
    ),
];

/// One check.
#[derive(Serialize)]
pub(super) struct Check {
    what: &'static str,
    test: &'static str,
    passed: bool,
    /// The last words of a test that failed.
    said: String,
    took_ms: u64,
}

/// Makes all of them.
pub(super) fn run() -> Result<Vec<Check>> {
    let suites: PathBuf = env::var_os(SUITES)
        .with_context(|| format!("{SUITES} is not set: run `cargo xtask verify`"))?
        .into();
    let check = |(what, name): (&'static str, &'static str)| {
        let (suite, test) = name.split_once('/').unwrap_or(("kernel", name));
        one(&suites.join(suite), what, test)
    };
    CHECKS.into_iter().map(check).collect()
}

fn one(suite: &Path, what: &'static str, test: &'static str) -> Result<Check> {
    let started = Instant::now();
    let output = Command::new(suite)
        .args(["--exact", test])
        .env(steer_tests::need::NO_SKIP, "1")
        .env_remove(harness::FULL)
        .output()
        .with_context(|| format!("run {}", suite.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A test that is not there is no check that passed.
    let passed = output.status.success() && text.contains("test result: ok. 1 passed");
    Ok(Check {
        what,
        test,
        passed,
        said: if passed {
            String::new()
        } else {
            last_words(&text)
        },
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// As much as explains a failure.
fn last_words(text: &str) -> String {
    const MOST: usize = 600;
    let from = text.find("failures:").unwrap_or_default();
    text.get(from..)
        .unwrap_or(text)
        .chars()
        .take(MOST)
        .collect()
}
