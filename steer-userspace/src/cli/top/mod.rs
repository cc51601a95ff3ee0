//! `steer top`: live rates of routes, refusals and sources.
//!
//! Two looks at the counts (`sample`) make rates (`rates`), of which some are shown (`view`), as text (`rows`), on
//! a terminal (`screen`, `terminal`) or once, plainly.

mod graph;
mod rates;
mod rows;
mod sample;
mod screen;
mod terminal;
mod view;

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    time::{ClockId, clock_gettime},
    unistd::gethostname,
};

use super::{
    Exit,
    args::{Format, Instance, Top},
    get, output,
    text::Text,
};
use crate::control::{Lock, read_refusals};
use rates::Rates;
use sample::Sample;
use view::View;

/// Shows them until a key ends it; or once.
pub(super) fn run(args: &Top, instance: &Instance) -> anyhow::Result<Exit> {
    let delay = Duration::from_secs_f64(args.delay);
    let view = View {
        filter: args.filter.clone().unwrap_or_default(),
        ..View::default()
    };
    let for_programs = matches!(args.output.output, Format::Json | Format::Yaml);
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut looks = Looks::new(instance)?;
    if args.once || for_programs || !is_terminal {
        looks.next()?;
        thread::sleep(delay);
        if let Some(rates) = looks.next()? {
            let format = args.output.output;
            output::write(&output::answer(&view.of(rates), format, |shown, _| {
                plain(shown)
            })?)?;
        }
        return Ok(Exit::Done);
    }
    terminal::run(&mut looks, delay, view)?;
    Ok(Exit::Done)
}

/// Looks, one after another.
struct Looks<'a> {
    instance: &'a Instance,
    runtime: tokio::runtime::Runtime,
    node: String,
    before: Option<Sample>,
}

impl<'a> Looks<'a> {
    fn new(instance: &'a Instance) -> anyhow::Result<Self> {
        Ok(Self {
            instance,
            runtime: super::runtime()?,
            node: gethostname()
                .context("reading the name of the machine")?
                .to_string_lossy()
                .into_owned(),
            before: None,
        })
    }

    /// The rates since the last look, if there was one.
    fn next(&mut self) -> anyhow::Result<Option<Rates>> {
        let instance = self.instance;
        let mut seen = instance.read()?;
        let at = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        let agent_runs = Lock::holder(&instance.state)?.is_some();
        let refusals = read_refusals(&instance.state)
            .with_context(|| format!("reading the refusals in {}", instance.state.display()))?;
        let address = seen.status["metrics"]
            .as_str()
            .and_then(|at| at.parse().ok());
        let asked = address
            .filter(|_| agent_runs)
            .map(|address: SocketAddr| self.runtime.block_on(graph::ask(address)));
        let (traffic, trouble) = match asked.transpose() {
            Ok(traffic) => (traffic, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        if traffic.is_none() {
            seen.connections = get::look(instance, &seen)?;
        }
        let now = Sample::new(at, &seen, &refusals, traffic);
        let rates = self.before.as_ref().map(|before| Rates {
            node: self.node.clone(),
            agent_runs,
            metrics_trouble: trouble,
            ..Rates::between(before, &now)
        });
        self.before = Some(now);
        Ok(rates)
    }
}

/// One look, for people who keep it.
fn plain(rates: &Rates) -> String {
    let mut text = Text::default();
    text.line(format_args!(
        "{}  generation {}  {}{}  findings {}  refused {}/s  in {:.1} s",
        rates.node,
        rates.generation,
        rates.state.as_deref().unwrap_or("unknown"),
        if rates.agent_runs {
            ""
        } else {
            "  no agent runs"
        },
        rates.findings,
        rows::rate(Some(rates.refused_per_second)),
        rates.seconds,
    ));
    if let Some(trouble) = &rates.metrics_trouble {
        text.line(format_args!("metrics: {trouble}"));
    }
    for table in [
        output::table(&rates.routes, true, true),
        output::table(&rates.refused, true, true),
        output::table(&rates.sources, true, true),
    ] {
        text.gap();
        text.lines(&table);
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;

    #[test]
    fn one_look_is_three_tables() {
        let (before, after) = rates::tests::looks();
        let rates = Rates {
            node: "node-1".to_owned(),
            ..Rates::between(&before, &after)
        };
        let view = View::default();
        golden::assert("top-plain", &plain(&view.of(rates.clone())));
        let json = output::answer(&rates, Format::Json, |shown, _| plain(shown)).unwrap();
        golden::assert("top-json", &json);
    }
}
