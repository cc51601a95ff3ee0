//! The mark of a socket that connect let through: a row of an array, as of `origin`. A socket whose
//! row another one has is not marked: its packets are judged one by one.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg},
    ptr::{addr_of_mut, read_volatile, write_volatile},
};

use steer_common::egress::{Allowed, AllowedSocket};

use super::rows;
use crate::maps::ALLOWED;

/// Marks a socket.
#[inline(always)]
pub(crate) fn store(socket: u64, allowed: Allowed) {
    let Some(row) = ALLOWED.get_ptr_mut(rows::index(socket)) else {
        return;
    };
    // SAFETY: words of a row of the map, valid and aligned.
    let (owner, turn) = unsafe { (addr_of_mut!((*row).socket), addr_of_mut!((*row).turn)) };
    // SAFETY: as above.
    let before = unsafe { read_volatile(turn) };
    // An odd turn: somebody writes, and this socket goes without.
    if before & 1 != 0 || !swap(turn, before, before.wrapping_add(1)) {
        return;
    }
    // SAFETY: a row that nobody else writes, and nobody reads, until the turn is even again.
    unsafe {
        if rows::claim(owner, socket) {
            (*row).allowed = allowed;
        }
        write_volatile(turn, before.wrapping_add(2));
    }
}

#[inline(always)]
fn swap(turn: *mut u32, before: u32, after: u32) -> bool {
    // SAFETY: valid and aligned.
    let (found, _) = unsafe {
        atomic_cxchg::<u32, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
            turn, before, after,
        )
    };
    found == before
}

/// The mark of a socket.
#[inline(always)]
pub(crate) fn load(socket: u64) -> Option<Allowed> {
    let row: *const AllowedSocket = ALLOWED.get_ptr(rows::index(socket))?;
    // SAFETY: a row of the map; whether it was written meanwhile is found out by its turn.
    unsafe {
        let turn = read_volatile(&raw const (*row).turn);
        let own = rows::is_of(&raw const (*row).socket, socket);
        let allowed = read_volatile(&raw const (*row).allowed);
        let whole = turn & 1 == 0 && read_volatile(&raw const (*row).turn) == turn;
        (own && whole).then_some(allowed)
    }
}

/// The socket is closed. Its last packets are let through by its mark, unless the row is taken.
#[inline(always)]
pub(crate) fn release(socket: u64) {
    if let Some(row) = ALLOWED.get_ptr_mut(rows::index(socket)) {
        // SAFETY: the owner's word of a row of the map.
        unsafe { rows::release(addr_of_mut!((*row).socket), socket) };
    }
}
