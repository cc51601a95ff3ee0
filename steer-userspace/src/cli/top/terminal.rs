//! The terminal: taken at the start, and given back as it was, however this ends.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use super::{
    Looks,
    rates::Rates,
    screen::{Paint, draw},
    view::{Next, View},
};

/// How soon a signal is noticed.
const NOTICE: Duration = Duration::from_millis(100);

/// Shows the rates until a key or a signal ends it.
pub(super) fn run(looks: &mut Looks<'_>, delay: Duration, mut view: View) -> anyhow::Result<()> {
    // What cannot be read is told before the terminal is taken.
    looks.next()?;
    let signals = signals().context("waiting for signals")?;
    // A panic gives the terminal back too: the hook is set here.
    let mut terminal = ratatui::try_init().context("taking the terminal")?;
    let ended = show(&mut terminal, looks, delay, &mut view, &signals);
    ratatui::try_restore().context("giving the terminal back")?;
    ended
}

/// The signals that end it, to be read. Ctrl-C is a key here.
fn signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn show(
    terminal: &mut DefaultTerminal,
    looks: &mut Looks<'_>,
    delay: Duration,
    view: &mut View,
    signals: &SignalFd,
) -> anyhow::Result<()> {
    let paint = Paint(env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let mut rates: Option<Rates> = None;
    let mut trouble: Option<String> = None;
    let mut due = Instant::now() + delay;
    loop {
        terminal.draw(|frame| draw(frame, rates.as_ref(), trouble.as_deref(), view, paint))?;
        let changed = wait(view, due, signals)?;
        match changed {
            Woken::End => return Ok(()),
            Woken::Key => {}
            Woken::Time => {
                due = Instant::now() + delay;
                if view.paused {
                    continue;
                }
                // An agent that is upgraded takes its maps away for a moment.
                match looks.next() {
                    Ok(fresh) => (rates, trouble) = (fresh.or(rates), None),
                    Err(error) => trouble = Some(format!("{error:#}")),
                }
            }
        }
    }
}

enum Woken {
    Key,
    Time,
    End,
}

/// Until a key was pressed, it is time for a look, or a signal ends it.
fn wait(view: &mut View, due: Instant, signals: &SignalFd) -> anyhow::Result<Woken> {
    loop {
        if signals.read_signal()?.is_some() {
            return Ok(Woken::End);
        }
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Woken::Time);
        }
        if !event::poll(left.min(NOTICE))? {
            continue;
        }
        match event::read()? {
            Event::Key(key) => {
                return Ok(match view.press(key) {
                    Next::End => Woken::End,
                    Next::Stay => Woken::Key,
                });
            }
            Event::Resize(..) => return Ok(Woken::Key),
            _ => {}
        }
    }
}
