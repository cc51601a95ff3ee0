//! What a socket dialled, kept beside the socket.

use core::ptr::{self, read_volatile};

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
};
use steer_common::flow::Origin;

use super::{sock::Sock, words};
use crate::maps::ORIGIN;

/// Notes it; false if there was no memory.
#[inline(always)]
pub(crate) fn store(sock: &impl Sock, mut origin: Origin) -> bool {
    let kept = get(
        sock,
        &raw mut origin,
        u64::from(BPF_SK_STORAGE_GET_F_CREATE),
    );
    if kept.is_null() {
        return false;
    }
    // Copied even if just created from the same value: a socket may dial twice.
    // SAFETY: not null, hence a valid value of the map; `Origin` is made of words.
    unsafe { words::copy(&raw const origin, kept) };
    true
}

/// What was noted.
#[inline(always)]
pub(crate) fn load(sock: &impl Sock) -> Option<&'static Origin> {
    let kept = get(sock, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { kept.as_ref() }
}

/// Forgets it: the socket dials something that is not steered.
#[inline(always)]
pub(crate) fn clear(sock: &impl Sock) {
    // SAFETY: the map's own address and the context's own socket.
    unsafe { bpf_sk_storage_delete((&raw const ORIGIN).cast_mut().cast(), socket(sock).cast()) };
}

/// Whether the socket has a peer. One that was disconnected (`connect` to `AF_UNSPEC`, which passes no
/// hook) keeps what was noted, and it does not count.
#[inline(always)]
pub(crate) fn is_connected(sock: &impl Sock) -> bool {
    // SAFETY: the context's own socket; dst_port is readable in each of these hooks.
    unsafe { read_volatile(&raw const (*socket(sock)).dst_port) != 0 }
}

#[inline(always)]
fn get(sock: &impl Sock, value: *mut Origin, flags: u64) -> *mut Origin {
    // SAFETY: the map's own address and the context's own socket.
    unsafe {
        bpf_sk_storage_get(
            (&raw const ORIGIN).cast_mut().cast(),
            socket(sock).cast(),
            value.cast(),
            flags,
        )
    }
    .cast()
}

#[inline(always)]
fn socket(sock: &impl Sock) -> *mut bpf_sock {
    // SAFETY: the kernel hands a valid context; the union's only real member is the socket.
    unsafe { (*sock.context().sock_addr).__bindgen_anon_1.sk }
}
