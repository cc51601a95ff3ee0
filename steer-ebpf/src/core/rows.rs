//! Rows of arrays that belong to sockets: a socket's row is found by the low bits of its cookie, which
//! the kernel counts up and never uses again. Who has a row stands in one word of it.
//!
//! That word is touched by single instructions: this target knows no other loads and stores that are
//! atomic.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg},
    ptr::{read_volatile, write_volatile},
};

use steer_common::limits;

/// Beside the owner of a row: the socket is closed, but what is still in flight is its own. Cookies
/// do not reach it.
const RELEASED: u64 = 1 << 63;

/// The row that a socket has, or may take.
#[inline(always)]
pub(crate) fn index(socket: u64) -> u32 {
    socket as u32 & (limits::SOCKETS_MAX - 1)
}

/// Whether a row is the socket's.
///
/// # Safety
///
/// `owner` is the owner's word of a row.
#[inline(always)]
pub(crate) unsafe fn is_of(owner: *const u64, socket: u64) -> bool {
    // SAFETY: the caller's.
    unsafe { read_volatile(owner) & !RELEASED == socket }
}

/// Takes a row for the socket, unless another socket that is open has it.
///
/// # Safety
///
/// `owner` is the owner's word of a row.
#[inline(always)]
pub(crate) unsafe fn claim(owner: *mut u64, socket: u64) -> bool {
    // SAFETY: the caller's.
    let before = unsafe { read_volatile(owner) };
    if before == socket {
        return true;
    }
    if before != 0 && before & RELEASED == 0 {
        return false;
    }
    // SAFETY: the caller's.
    let (found, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
            owner, before, socket,
        )
    };
    found == before
}

/// Leaves a row of the socket's to whoever wants it. Until then it holds.
///
/// # Safety
///
/// `owner` is the owner's word of a row.
#[inline(always)]
pub(crate) unsafe fn release(owner: *mut u64, socket: u64) {
    // SAFETY: the caller's.
    unsafe {
        if is_of(owner, socket) {
            write_volatile(owner, socket | RELEASED);
        }
    }
}

/// Empties a row of the socket's.
///
/// # Safety
///
/// `owner` is the owner's word of a row.
#[inline(always)]
pub(crate) unsafe fn free(owner: *mut u64, socket: u64) {
    // SAFETY: the caller's.
    unsafe {
        if is_of(owner, socket) {
            write_volatile(owner, 0);
        }
    }
}
