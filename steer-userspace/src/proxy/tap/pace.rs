//! How much of a processor copies may have: some of what nobody else wants.
//!
//! `SCHED_IDLE` is a rule among the threads of one group. Where live traffic is in other groups (cgroups with weights of a
//! processor; sessions, with autogroup), the scheduler gives each group its share, whoever is in it. So the thread looks
//! at how long the node's processors had nothing to do, and keeps to less where that was hardly ever. What it may have
//! has to be earned anew after a rest, as a congestion window after one (RFC 5681, 4.1): otherwise each load would begin beside
//! as many copies as an idle node had room for.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    str,
    time::{Duration, Instant},
};

use procfs::{CurrentSI as _, KernelStats};

/// How often the processors are looked at. The kernel counts in hundredths of a second.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where less of their time was idle, copies have less; where more was, more.
const SCARCE: f64 = 0.08;
const PLENTY: f64 = 0.14;
/// The same in processors, for nodes that have few of them: there a copy is more often in the way of somebody who
/// wakes up.
const SCARCE_PROCESSORS: f64 = 0.5;
const PLENTY_PROCESSORS: f64 = 0.7;
/// All of one processor's time, in the unit that copies are given it in.
const WHOLE: u32 = 1_000;
/// The least of it that they may have, and the most where they did not use half of what they had.
const LEAST: u32 = 4;
const UNUSED: u32 = 20;
/// What they have may be a quarter of what it was, or half as much again.
const LESS: u32 = 4;
const MORE: (u32, u32) = (3, 2);
/// How many pieces are taken at once by who may have a whole processor, and how many at least.
const PIECES: usize = 1_024;
const PIECES_MIN: usize = 16;
/// The longest pause. Meanwhile the ring fills with some ten thousand small requests.
const PAUSE_MAX: Duration = Duration::from_millis(128);

/// What the kernel says of all processors, in its own unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Processors {
    idle: u64,
    all: u64,
}

/// Shares of the processors' time that are idle.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Below, copies give way.
    scarce: f64,
    /// Above, they may have more.
    plenty: f64,
}

/// The pauses of the thread that made it.
pub(super) struct Pace {
    /// None where the kernel keeps no such account: then there are no pauses.
    account: Option<Account>,
    rest: Rest,
    /// Of `WHOLE`.
    may_have: u32,
    /// When this look began, and what had been by then.
    since: Instant,
    ran: Duration,
    processors: Processors,
}

struct Account {
    thread: File,
    processors: File,
}

impl Pace {
    /// That of this thread.
    pub(super) fn of_this_thread() -> Self {
        let account = Account::open();
        let mut this = Self {
            may_have: account.as_ref().map_or(WHOLE, |_| UNUSED),
            account,
            rest: Rest::of(processors_of_node().unwrap_or(1)),
            since: Instant::now(),
            ran: Duration::ZERO,
            processors: Processors::default(),
        };
        this.begin();
        this
    }

    /// How many pieces to take now: about four times as many as there is time for until the next look at the ring, so
    /// that it is time that bounds them, and a burst is short all the same.
    pub(super) fn pieces(&self) -> usize {
        (PIECES * self.may_have as usize / WHOLE as usize).max(PIECES_MIN)
    }

    /// How long to stay away now.
    pub(super) fn pause(&mut self) -> Duration {
        let Some(account) = &self.account else {
            return Duration::ZERO;
        };
        let took = self.since.elapsed();
        let ran = account.ran().unwrap_or_default().saturating_sub(self.ran);
        let pause = owed(ran, took, self.may_have);
        if took + pause >= LOOK_EVERY {
            let now = account.processors().unwrap_or_default();
            if let Some(idle) = self.processors.idle_until(now) {
                let used = ran * WHOLE * 2 >= took * self.may_have;
                self.may_have = self.rest.next(self.may_have, used, idle);
            }
            self.begin();
        }
        pause
    }

    fn begin(&mut self) {
        let Some(account) = &self.account else { return };
        self.since = Instant::now();
        self.ran = account.ran().unwrap_or_default();
        self.processors = account.processors().unwrap_or_default();
    }
}

/// For how long a thread that ran for so long has to stay away, if it may have that much of a processor.
fn owed(ran: Duration, took: Duration, may_have: u32) -> Duration {
    (ran * WHOLE / may_have).saturating_sub(took).min(PAUSE_MAX)
}

impl Rest {
    /// What is left alone on a node with so many processors.
    fn of(processors: usize) -> Self {
        let processors = f64::from(u32::try_from(processors.max(1)).unwrap_or(u32::MAX));
        Self {
            scarce: SCARCE.max(SCARCE_PROCESSORS / processors),
            plenty: PLENTY.max(PLENTY_PROCESSORS / processors),
        }
    }

    /// How much copies may have from now on, if they used what they had, and this share of the processors was idle.
    fn next(self, may_have: u32, used: bool, idle: f64) -> u32 {
        let most = if used { WHOLE } else { UNUSED };
        if idle < self.scarce {
            (may_have / LESS).max(LEAST)
        } else if idle > self.plenty {
            (may_have * MORE.0 / MORE.1).min(most)
        } else {
            may_have.min(most)
        }
    }
}

impl Processors {
    /// The share of their time that was idle until then. None if no tick has passed.
    fn idle_until(self, now: Self) -> Option<f64> {
        let all = now.all.saturating_sub(self.all);
        (all > 0).then(|| precise(now.idle.saturating_sub(self.idle)) / precise(all))
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a moment are few")]
fn precise(ticks: u64) -> f64 {
    ticks as f64
}

impl Account {
    fn open() -> Option<Self> {
        Some(Self {
            thread: File::open("/proc/thread-self/schedstat").ok()?,
            processors: File::open("/proc/stat").ok()?,
        })
    }

    fn ran(&self) -> Option<Duration> {
        let mut text = [0; 64];
        ran(start(&self.thread, &mut text)?)
    }

    fn processors(&self) -> Option<Processors> {
        let mut text = [0; 256];
        processors(start(&self.processors, &mut text)?)
    }
}

/// The first bytes of a file.
fn start<'t>(file: &File, text: &'t mut [u8]) -> Option<&'t str> {
    let length = file.read_at(text, 0).ok()?;
    str::from_utf8(text.get(..length)?).ok()
}

/// `RAN WAITED SLICES`, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn ran(text: &str) -> Option<Duration> {
    let first = text.split_ascii_whitespace().next()?;
    Some(Duration::from_nanos(first.parse().ok()?))
}

/// `cpu USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL ...` (`proc_stat(5)`): what comes after it is in these already.
fn processors(text: &str) -> Option<Processors> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let words = line.split_ascii_whitespace().take(8);
    let ticks: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Processors {
        idle: ticks.get(3)? + ticks.get(4)?,
        all: ticks.iter().sum(),
    })
}

/// How many processors the node has, whatever this process may use of them.
fn processors_of_node() -> Option<usize> {
    Some(KernelStats::current().ok()?.cpu_time.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(idle: u64, all: u64) -> Processors {
        Processors { idle, all }
    }

    /// As often as that percentage of the processors is idle.
    fn after(times: u32, mut may_have: u32, used: bool, idle: u64) -> u32 {
        for _ in 0..times {
            let idle = of(50, 1_000).idle_until(of(50 + idle, 1_100));
            may_have = Rest::of(64).next(may_have, used, idle.unwrap());
        }
        may_have
    }

    #[test]
    fn copies_give_way_within_a_fifth_of_a_second() {
        assert_eq!(after(4, WHOLE, true, 3), LEAST);
        assert_eq!(after(1, LEAST, true, 3), LEAST);
        assert_eq!(after(1, 400, false, 3), 100);
    }

    #[test]
    fn they_take_what_is_idle_and_leave_a_rest() {
        assert_eq!(after(16, LEAST, true, 40), WHOLE);
        assert_eq!(after(12, 500, true, 11), 500);
        assert_eq!(of(5, 10).idle_until(of(5, 10)), None);
    }

    #[test]
    fn what_is_not_used_is_given_back() {
        assert_eq!(after(1, WHOLE, false, 11), UNUSED);
        assert_eq!(after(1, WHOLE, false, 40), UNUSED);
        assert_eq!(after(12, LEAST, false, 40), UNUSED);
        assert_eq!(after(12, LEAST, false, 11), LEAST);
    }

    #[test]
    fn half_a_processor_is_left_of_few() {
        let few = |idle| Rest::of(2).next(400, true, idle);
        assert_eq!([0.24, 0.30, 0.36].map(few), [100, 400, 600]);
        assert!(processors_of_node().unwrap() > 0);
    }

    #[test]
    fn pauses_make_up_for_what_was_run() {
        let ms = Duration::from_millis;
        assert_eq!(owed(ms(2), ms(20), 100), ms(0));
        assert_eq!(owed(ms(2), ms(5), 100), ms(15));
        assert_eq!(owed(ms(9), ms(9), WHOLE), ms(0));
        assert_eq!(owed(ms(9), ms(9), LEAST), PAUSE_MAX);
    }

    #[test]
    fn the_kernel_keeps_accounts() {
        assert_eq!(
            ran("61000000 2000000 37\n").unwrap(),
            Duration::from_millis(61)
        );
        let line = "cpu  10 1 20 400 5 0 7 3 9 0\ncpu0 1 1\n";
        assert_eq!(processors(line).unwrap(), of(405, 446));
        assert_eq!(processors("intr 7"), None);
        let account = Account::open().unwrap();
        let (before, begun) = (account.ran().unwrap(), Instant::now());
        while begun.elapsed() < Duration::from_millis(20) {}
        assert!(account.ran().unwrap() > before);
        assert!(account.processors().unwrap().all > 0);
    }
}
