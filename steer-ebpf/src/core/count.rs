//! Counters: one for each reason, one for each destination of each route.

use steer_common::{limits::REASON_COUNTERS, reason::Reason};

use crate::maps::COUNTERS;

/// Counts one exit.
#[inline(always)]
pub(crate) fn reason(reason: Reason) {
    add_one(reason.index());
}

/// Counts one exit, by the number of its reason.
#[inline(always)]
pub(crate) fn number(reason: u32) {
    add_one(reason & (REASON_COUNTERS - 1));
}

/// Counts one connection or datagram of a destination.
#[inline(always)]
pub(crate) fn destination(base: u32, destination: u32) {
    add_one(base.wrapping_add(destination));
}

#[inline(always)]
fn add_one(index: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: a valid slot of this CPU; a preempting program on the same CPU may make the
        // count miss one, never more.
        unsafe { *counter += 1 };
    }
}

const _: () = assert!(REASON_COUNTERS.is_power_of_two(), "the mask in `number`");
