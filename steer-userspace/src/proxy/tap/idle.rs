//! A thread that runs while nobody else wants to.
#![expect(unsafe_code, reason = "a system call that nix does not wrap")]

use std::io;

/// Lets this thread run only on a processor that has nothing else to do: whoever wakes up there takes it over at once.
/// A small share is left to it where there is always something to do.
///
/// By `SCHED_IDLE`, not by niceness: a thread that is only nice keeps its slice of time when another one wakes up, and
/// live traffic is made of wake-ups. It may be asked for without any privilege.
pub(super) fn yield_to_others() -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameter is read before the call returns.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_this_thread_alone() {
        // SAFETY: 0 is the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        let before = policy();
        let yielding = std::thread::spawn(move || {
            yield_to_others().unwrap();
            policy()
        });
        assert_eq!(yielding.join().unwrap(), libc::SCHED_IDLE);
        assert_eq!(policy(), before);
    }
}
