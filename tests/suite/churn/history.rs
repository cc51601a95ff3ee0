//! What each client could reach, and when: the measure of every connection.

use anyhow::{Result, ensure};
use libtest_mimic::{Failed, Trial};

/// Endpoints by number, as bits.
pub(crate) type Endpoints = u64;

/// What one client sees of one service; `None` if it sees none.
pub(crate) type View = Option<Endpoints>;

/// A view that was in force from some moment after `from_ns` until some moment before `until_ns`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    from_ns: u64,
    until_ns: u64,
    view: View,
}

/// The views of one client of one service, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct History {
    spans: Vec<Span>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// At an endpoint, by its number; `None` if it is none of ours.
    Landed(Option<u32>),
    /// Left as dialled: there is no way to the service's address but steering.
    LeftAsDialled,
    /// Anything else.
    Failed,
}

/// What is to be said of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// As the service was at some moment while the client connected.
    Right,
    /// It should have landed.
    Failed,
    /// It landed where it should not.
    Astray,
}

impl History {
    /// What is seen from the start.
    pub(crate) fn new(view: View) -> Self {
        Self {
            spans: vec![Span {
                from_ns: 0,
                until_ns: u64::MAX,
                view,
            }],
        }
    }

    /// A change that was begun and ended at these times brought this view.
    pub(crate) fn change(&mut self, began_ns: u64, ended_ns: u64, view: View) {
        let Some(last) = self.spans.last_mut().filter(|last| last.view != view) else {
            return;
        };
        last.until_ns = ended_ns;
        self.spans.push(Span {
            from_ns: began_ns,
            until_ns: u64::MAX,
            view,
        });
    }

    /// Forgets all but the newest view.
    pub(crate) fn forget(&mut self) {
        let newest = self.spans.len().saturating_sub(1);
        self.spans.drain(..newest);
    }

    /// Judges what happened between two moments.
    pub(crate) fn judge(&self, start_ns: u64, end_ns: u64, ending: Ending) -> Judgement {
        let first = self.spans.partition_point(|span| span.until_ns < start_ns);
        let mut views = self.spans[first..]
            .iter()
            .take_while(|span| span.from_ns <= end_ns)
            .map(|span| span.view);
        match ending {
            Ending::Landed(number) => {
                let bit = number.map_or(0, |number| 1 << number);
                if views.any(|view| view.is_some_and(|endpoints| endpoints & bit != 0)) {
                    Judgement::Right
                } else {
                    Judgement::Astray
                }
            }
            Ending::LeftAsDialled if views.any(|view| view.is_none()) => Judgement::Right,
            Ending::LeftAsDialled | Ending::Failed => Judgement::Failed,
        }
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<()>| {
        Trial::test(name, move || {
            run().map_err(|error| Failed::from(format!("{error:?}")))
        })
    };
    vec![
        test("history::what_was_at_some_moment_is_right", moments),
        test("history::what_was_at_no_moment_is_not", no_moment),
    ]
}

/// Endpoint 1, then 2 (changed between 100 and 110), then none (200 to 210), then 1 again (300, 310).
fn example() -> History {
    let mut history = History::new(Some(1 << 1));
    history.change(100, 110, Some(1 << 2));
    history.change(150, 160, Some(1 << 2));
    history.change(200, 210, None);
    history.change(300, 310, Some(1 << 1));
    history
}

fn ensure_all(wanted: Judgement, cases: &[(u64, u64, Ending)]) -> Result<()> {
    for &(start, end, ending) in cases {
        let judgement = example().judge(start, end, ending);
        ensure!(
            judgement == wanted,
            "{start}..{end} {ending:?}: {judgement:?}"
        );
    }
    Ok(())
}

fn moments() -> Result<()> {
    use Ending::{Landed, LeftAsDialled};
    ensure_all(
        Judgement::Right,
        &[
            (0, 50, Landed(Some(1))),
            (105, 108, Landed(Some(1))),
            (105, 108, Landed(Some(2))),
            (50, 400, Landed(Some(2))),
            (155, 156, Landed(Some(2))),
            (205, 206, Landed(Some(2))),
            (205, 206, LeftAsDialled),
            (250, 260, LeftAsDialled),
            (305, 306, LeftAsDialled),
            (305, 306, Landed(Some(1))),
            (1000, 1001, Landed(Some(1))),
        ],
    )?;
    let mut history = example();
    history.forget();
    let judgement = history.judge(1000, 1001, Landed(Some(1)));
    ensure!(judgement == Judgement::Right, "{judgement:?}");
    Ok(())
}

fn no_moment() -> Result<()> {
    use Ending::{Failed, Landed, LeftAsDialled};
    ensure_all(
        Judgement::Astray,
        &[
            (0, 99, Landed(Some(2))),
            (111, 199, Landed(Some(1))),
            (211, 299, Landed(Some(2))),
            (1000, 1001, Landed(Some(2))),
            (0, 1001, Landed(Some(3))),
            (0, 1001, Landed(None)),
        ],
    )?;
    ensure_all(
        Judgement::Failed,
        &[
            (0, 1001, Failed),
            (0, 199, LeftAsDialled),
            (311, 400, LeftAsDialled),
        ],
    )
}
