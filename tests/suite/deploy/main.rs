//! What puts steer on a cluster: the chart, as Helm renders it, and the manifests.

mod chart;
mod helm;
mod observability;
mod same;
mod strict;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let tests = [
        chart::tests(),
        same::tests(),
        strict::tests(),
        observability::tests(),
    ];
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit_code()
}
