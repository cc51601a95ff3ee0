//! `steer status --alive`: whether the agent lives, whatever else may be wrong.

use serde::Serialize;

use super::super::{
    Exit,
    args::{Instance, Status},
    output,
};
use crate::kernel::{
    Maps,
    heartbeat::{now_ns, overdue},
};

#[derive(Serialize)]
struct Told {
    alive: bool,
    /// For how long it has not said so, in seconds; null while it says so in time.
    silent_for: Option<u64>,
}

pub(super) fn run(args: &Status, instance: &Instance) -> anyhow::Result<Exit> {
    let meta = Maps::open(&instance.pins())?.egress.meta()?;
    let silent = overdue(&meta, now_ns());
    let told = Told {
        alive: silent.is_none(),
        silent_for: silent.map(|silent| silent.as_secs()),
    };
    let text = output::answer(&told, args.output.output, |told, _wide| text(told))?;
    output::write(&text)?;
    Ok(if told.alive { Exit::Done } else { Exit::No })
}

fn text(told: &Told) -> String {
    match told.silent_for {
        None => "the agent lives\n".to_owned(),
        Some(seconds) => format!("the agent has not said for {seconds} s that it lives\n"),
    }
}
