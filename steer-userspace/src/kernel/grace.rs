//! Grace periods: after one, no program that was running before is still running.
//!
//! Updating the slot of a map-in-map waits for one on every kernel (`maybe_wait_bpf_programs`,
//! kernel/bpf/syscall.c), about 11 ms; membarrier(2) does not on one CPU or under `nohz_full`.

use std::os::fd::{AsFd as _, OwnedFd};

use super::{KernelError, sys};

/// A map-in-map that is good for nothing else.
pub struct Grace {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Grace {
    /// Creates it.
    pub fn new() -> Result<Self, KernelError> {
        let (outer, inner) = sys::create_map_in_map().map_err(|source| KernelError::Bpf {
            call: "MAP_CREATE",
            name: "the grace map".to_owned(),
            source,
        })?;
        Ok(Self { outer, inner })
    }

    /// Waits until every program that is running now has ended.
    pub fn wait(&self) -> Result<(), KernelError> {
        sys::set_inner_map(self.outer.as_fd(), self.inner.as_fd()).map_err(|source| {
            KernelError::Bpf {
                call: "MAP_UPDATE_ELEM",
                name: "the grace map".to_owned(),
                source,
            }
        })
    }
}
