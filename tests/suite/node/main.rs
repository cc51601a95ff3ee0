//! What the agent finds out about its node, in labs of real namespaces.

use anyhow::Result;
use libtest_mimic::{Arguments, Conclusion, Trial};
use steer_tests::need;

mod sources;

fn main() -> std::process::ExitCode {
    let missing = need::check().err().map(|error| format!("{error:#}"));
    let trial = |name: &str, test: fn() -> Result<()>| match &missing {
        None => Trial::test(name, move || {
            test().map_err(|error| format!("{error:#}").into())
        }),
        Some(missing) => {
            let missing = missing.clone();
            let kind = missing.clone();
            Trial::test(name, move || Err(missing.into()))
                .with_kind(kind)
                .with_ignored_flag(!need::no_skip())
        }
    };
    let trials = vec![
        trial(
            "pods are found by their namespaces",
            sources::pods_are_found_by_their_namespaces,
        ),
        trial(
            "a namespace made by a pod is nobody",
            sources::a_namespace_made_by_a_pod_is_nobody,
        ),
        trial(
            "an address has one owner",
            sources::an_address_has_one_owner,
        ),
        trial(
            "a pod that ends is forgotten",
            sources::a_pod_that_ends_is_forgotten,
        ),
    ];
    let conclusion: Conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    conclusion.exit_code()
}
