//! Room for a message, of this CPU, for one program at a time.
//!
//! A program in process context can be interrupted by one in softirq, and preempted by another
//! task's, on the same CPU: whoever takes a room locks it.

use core::intrinsics::{AtomicOrdering, atomic_xchg};

use steer_common::{
    addr::Addr,
    egress::{Learned, PolicyId},
    parse::dns::Dns,
};

use crate::maps::SCRATCH;

/// Rooms of a CPU.
pub(crate) const ROOMS: usize = 4;

/// A message, and what is to be done with it.
#[repr(C)]
pub(crate) struct Scratch {
    busy: u64,
    pub(crate) dns: Dns,
    /// The row of an address, while it is made.
    pub(crate) learned: Learned,
    pub(crate) addr: Addr,
    pub(crate) policy: PolicyId,
    pub(crate) host: u32,
    pub(crate) now_secs: u32,
    pub(crate) ttl_secs: u32,
    pub(crate) ttl_min_secs: u32,
    pub(crate) ttl_max_secs: u32,
    /// How many addresses the answer had, and how many were learned.
    pub(crate) found: u32,
    pub(crate) stored: u32,
    pub(crate) last: u32,
    pub(crate) pad: u32,
}

/// Takes a room, hands it to `f`, and gives it back. None if all are taken.
#[inline(always)]
pub(crate) fn with<T>(f: impl FnOnce(*mut Scratch) -> T) -> Option<T> {
    let mut index = 0;
    while index < ROOMS as u32 {
        let room = SCRATCH.get_ptr_mut(index)?;
        if swap(room, 1) == 0 {
            let result = f(room);
            swap(room, 0);
            return Some(result);
        }
        index += 1;
    }
    None
}

#[inline(always)]
fn swap(room: *mut Scratch, value: u64) -> u64 {
    // SAFETY: a valid row of the map; the word is aligned. SeqCst as for tickets.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(&raw mut (*room).busy, value) }
}
