//! The mark of a socket that connect let through.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::bpf_sk_storage_get,
};
use steer_common::egress::Allowed;

use super::words;
use crate::maps::ALLOWED;

/// Marks it. Without memory there is no mark, and its packets are judged one by one.
#[inline(always)]
pub(crate) fn store(socket: *mut bpf_sock, mut allowed: Allowed) {
    let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    let kept = get(socket, &raw mut allowed, create);
    if !kept.is_null() {
        // SAFETY: not null, hence a valid value of the map; `Allowed` is made of words.
        unsafe { words::copy(&raw const allowed, kept) };
    }
}

/// The mark.
#[inline(always)]
pub(crate) fn load(socket: *mut bpf_sock) -> Option<&'static Allowed> {
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { get(socket, ptr::null_mut(), 0).as_ref() }
}

#[inline(always)]
fn get(socket: *mut bpf_sock, value: *mut Allowed, flags: u64) -> *mut Allowed {
    // SAFETY: the map's own address and a socket of the context.
    unsafe {
        bpf_sk_storage_get(
            (&raw const ALLOWED).cast_mut().cast(),
            socket.cast(),
            value.cast(),
            flags,
        )
    }
    .cast()
}
