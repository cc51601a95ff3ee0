//! Tests that need a kernel: run when they can, else ignored with the reason, or failed.

use std::{env, io, num::NonZero, path::PathBuf, process::ExitCode, thread};

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

use crate::{
    exit,
    figure::{self, Figure},
    lab::Lab,
    need,
};

/// Set to 1, suites run at full counts.
pub const FULL: &str = "STEER_FULL";

/// How many tests of a suite run at once, for each core. Each has a lab of its own.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One: they work, or measure time.
    Works,
    /// Two: they wait most of the time, for a timeout, for a sample, or to see that something does not come.
    Waits,
}

/// A test that raises labs.
pub fn test(name: &str, run: fn() -> Result<()>) -> Trial {
    requiring(need::check, name, run)
}

/// One that needs a tool as well.
pub fn test_with(tool: &'static str, name: &str, run: fn() -> Result<()>) -> Trial {
    requiring(
        move || need::check().and_then(|()| need::find(tool).map(drop)),
        name,
        run,
    )
}

/// One that is ignored where something is missing, with what; or fails, if nothing may be skipped.
pub fn requiring(
    check: impl Fn() -> Result<()> + Send + 'static,
    name: &str,
    run: fn() -> Result<()>,
) -> Trial {
    Trial::ignorable_test(name, move || {
        if let Err(missing) = check() {
            return if need::no_skip() {
                Err(Failed::from(format!("{missing:#}")))
            } else {
                Ok(Completion::ignored_with(format!("{missing:#}")))
            };
        }
        run()
            .map(|()| Completion::Completed)
            .map_err(|error| Failed::from(format!("{error:?}")))
    })
}

/// Whether full counts are wanted.
pub fn full() -> bool {
    env::var(FULL).is_ok_and(|value| value == "1")
}

/// Runs a suite. What crashed runs left is swept first.
pub fn main(pace: Pace, trials: Vec<Trial>) -> ExitCode {
    match conclude(Arguments::from_args(), pace, trials) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(error) => exit::report("sweep", Err(error)),
    }
}

/// Runs a suite that measures: it prints its figures last, and with `--json FILE` writes them to a
/// file as well.
pub fn measure(pace: Pace, trials: Vec<Trial>, figures: impl FnOnce() -> Vec<Figure>) -> ExitCode {
    let mut file = env::var_os(figure::FILE).map(PathBuf::from);
    let mut words = Vec::new();
    let mut rest = env::args_os();
    while let Some(word) = rest.next() {
        if word == "--json" {
            file = rest.next().map(PathBuf::from);
        } else {
            words.push(word);
        }
    }
    let conclusion = match conclude(Arguments::from_iter(words), pace, trials) {
        Ok(conclusion) => conclusion,
        Err(error) => return exit::report("sweep", Err(error)),
    };
    let figures = figures();
    let written = figure::print(io::stdout().lock(), &figures)
        .and_then(|()| file.map_or(Ok(()), |file| figure::write_json(&file, &figures)));
    match written {
        Ok(()) => conclusion.exit_code(),
        Err(error) => exit::report("figures", Err(error)),
    }
}

fn conclude(mut arguments: Arguments, pace: Pace, trials: Vec<Trial>) -> Result<Conclusion> {
    if need::check().is_ok() {
        Lab::sweep_stale()?;
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(match pace {
        Pace::Works => cores,
        Pace::Waits => 2 * cores,
    });
    Ok(libtest_mimic::run(&arguments, trials))
}
