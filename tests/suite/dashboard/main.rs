//! The page of `steer dashboard` in a real browser: what it shows against what was done.

mod audit;
mod browser;
mod checks;
mod crowd;
mod lanes;
mod shares;
mod stage;
mod walk;
mod webdriver;

use std::process::ExitCode;

use libtest_mimic::{Completion, Failed, Trial};
use steer_tests::{
    harness::{self, Pace},
    need,
};

/// What drives the browser, and the browser.
const PROGRAMS: [&str; 2] = ["chromedriver", "chromium"];

fn main() -> ExitCode {
    let tests = vec![
        with_browser("shares::the_page_shows_what_was_done", shares::walk),
        with_browser("shares::copies_end_with_their_rule", shares::over),
        with_browser("walk::what_is_refused_and_every_look", walk::walk),
        with_browser("crowd::a_hundred_services_and_two_agents", crowd::crowd),
    ];
    harness::measure(Pace::Waits, tests, checks::figures)
}

/// A test that raises labs and needs a browser: ignored with the reason where there is none, or failed.
fn with_browser(name: &str, run: fn() -> anyhow::Result<()>) -> Trial {
    Trial::ignorable_test(name, move || {
        let missing = need::check().err();
        let missing = missing.or_else(|| {
            PROGRAMS
                .iter()
                .find_map(|program| need::find(program).err())
        });
        if let (Some(missing), false) = (missing, need::no_skip()) {
            return Ok(Completion::ignored_with(format!("{missing:#}")));
        }
        run().map(|()| Completion::Completed).map_err(|error| {
            checks::broken();
            Failed::from(format!("{error:?}"))
        })
    })
}
