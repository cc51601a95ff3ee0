//! Faults on purpose, in builds for tests alone: the agent is killed, or refused by the kernel, at
//! the write that `STEER_FAULT` names.
//!
//! `kill:N` dies by SIGKILL before the Nth write of this process; `refuse:N` is refused there once;
//! `broken:N` from there on. `no-tcx` hides the links to interfaces, as before Linux 6.6.

use std::{
    env, io,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::sys::signal::{Signal, raise};

use super::KernelError;

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    Refuse,
    Broken,
}

static WRITES: AtomicUsize = AtomicUsize::new(0);
static FAULT: OnceLock<Option<(Kind, usize)>> = OnceLock::new();

/// To be called before each write.
pub(super) fn before_write(map: &'static str) -> Result<(), KernelError> {
    let Some((kind, at)) = *FAULT.get_or_init(wanted) else {
        return Ok(());
    };
    let write = 1 + WRITES.fetch_add(1, Ordering::Relaxed);
    match kind {
        Kind::Kill if write == at => {
            // It does not return; were it not to work, the test sees an agent that lives.
            let _lives = raise(Signal::SIGKILL);
        }
        Kind::Refuse if write == at => return Err(refused(map)),
        Kind::Broken if write >= at => return Err(refused(map)),
        Kind::Kill | Kind::Refuse | Kind::Broken => {}
    }
    Ok(())
}

/// Whether the kernel is to look as if it had no links to interfaces.
pub(super) fn hides_tcx() -> bool {
    env::var("STEER_FAULT").is_ok_and(|text| text == "no-tcx")
}

fn wanted() -> Option<(Kind, usize)> {
    let text = env::var("STEER_FAULT").ok()?;
    let (kind, at) = text.split_once(':')?;
    let kind = match kind {
        "kill" => Kind::Kill,
        "refuse" => Kind::Refuse,
        "broken" => Kind::Broken,
        _ => return None,
    };
    Some((kind, at.parse().ok()?))
}

fn refused(map: &'static str) -> KernelError {
    KernelError::Bpf {
        call: "MAP_UPDATE_ELEM",
        name: map.to_owned(),
        source: io::Error::from_raw_os_error(libc::E2BIG),
    }
}
