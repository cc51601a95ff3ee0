//! How long copies leave the processors alone.
//!
//! `SCHED_IDLE` is a rule among the threads of one group. Where live traffic is in other groups (cgroups with weights of a
//! processor; sessions, with autogroup), the scheduler gives each group its share, whoever is in it. So the thread looks
//! at how long the scheduler made it wait: where that is long, others want the processors, and it stays away for a while.

use std::{fs::File, os::unix::fs::FileExt as _, str, time::Duration};

/// Others want the processors if this thread waited for so long since it last looked, and for half as long as it ran.
const WAITED_MIN: Duration = Duration::from_millis(1);
/// The shortest and the longest pause. In the longest, the ring fills with some ten thousand small requests.
const PAUSE_MIN: Duration = Duration::from_millis(8);
const PAUSE_MAX: Duration = Duration::from_millis(128);

/// What the scheduler says of this thread.
#[derive(Clone, Copy, Default)]
struct Times {
    ran: Duration,
    waited: Duration,
}

/// The pauses of the thread that made it.
pub(super) struct Pace {
    /// None where the kernel keeps no such account: then there are no pauses.
    account: Option<File>,
    before: Times,
    pause: Duration,
}

impl Pace {
    /// That of this thread.
    pub(super) fn of_this_thread() -> Self {
        let account = File::open("/proc/thread-self/schedstat").ok();
        let mut this = Self {
            account,
            before: Times::default(),
            pause: Duration::ZERO,
        };
        this.before = this.times().unwrap_or_default();
        this
    }

    /// How long to stay away now.
    pub(super) fn pause(&mut self) -> Duration {
        if let Some(now) = self.times() {
            let since = Times {
                ran: now.ran.saturating_sub(self.before.ran),
                waited: now.waited.saturating_sub(self.before.waited),
            };
            self.before = now;
            self.pause = next(self.pause, since);
        }
        self.pause
    }

    fn times(&self) -> Option<Times> {
        let mut text = [0; 64];
        let length = self.account.as_ref()?.read_at(&mut text, 0).ok()?;
        read(str::from_utf8(text.get(..length)?).ok()?)
    }
}

/// `RAN WAITED SLICES`, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn read(text: &str) -> Option<Times> {
    let mut words = text.split_ascii_whitespace();
    let mut time = || Some(Duration::from_nanos(words.next()?.parse().ok()?));
    Some(Times {
        ran: time()?,
        waited: time()?,
    })
}

/// The pause after one. It grows fast, and is given up slowly: a thread that has stayed away finds processors free.
fn next(pause: Duration, since: Times) -> Duration {
    if since.waited >= WAITED_MIN && since.waited > since.ran / 2 {
        return (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
    }
    let less = pause / 2;
    if less < PAUSE_MIN {
        return Duration::ZERO;
    }
    less
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn times(ran_ms: u64, waited_ms: u64) -> Times {
        Times {
            ran: Duration::from_millis(ran_ms),
            waited: Duration::from_millis(waited_ms),
        }
    }

    #[test]
    fn who_waits_stays_away_for_longer_each_time_up_to_a_limit() {
        let mut pause = Duration::ZERO;
        let pauses = [8, 16, 32, 64, 128, 128].map(|wanted| {
            pause = next(pause, times(1, 2));
            (pause.as_millis(), wanted)
        });
        assert!(
            pauses.iter().all(|(got, wanted)| got == wanted),
            "{pauses:?}"
        );
        let pauses = [64, 32, 16, 8, 0, 0].map(|wanted| {
            pause = next(pause, times(2, 0));
            (pause.as_millis(), wanted)
        });
        assert!(
            pauses.iter().all(|(got, wanted)| got == wanted),
            "{pauses:?}"
        );
    }

    #[test]
    fn who_hardly_waits_does_not() {
        // Much work and a little waiting; hardly anything of both.
        for since in [times(10, 4), times(0, 0)] {
            assert_eq!(next(Duration::ZERO, since), Duration::ZERO);
        }
    }

    #[test]
    fn the_kernel_keeps_an_account_of_this_thread() {
        let found = read("61000000 2000000 37\n").unwrap();
        assert_eq!(
            (found.ran, found.waited),
            (times(61, 2).ran, times(61, 2).waited)
        );
        let pace = Pace::of_this_thread();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
        assert!(pace.times().unwrap().ran > pace.before.ran);
    }
}
