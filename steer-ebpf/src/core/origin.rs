//! What a socket dialled, kept as long as the socket.
//!
//! A UDP socket may dial again and again: beside the socket a note costs least to write over. A TCP
//! socket dials once, and taking and freeing memory beside it costs about 3 us, of which most is paid
//! when it closes (`cargo xtask bench throughput`): a row of a table that is there costs a tenth.

use core::ptr::{self, read_volatile};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::{
        bpf_get_socket_cookie,
        generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
    },
    programs::SockContext,
};
use steer_common::{addr::Proto, flow::Origin};

use super::{sock::Sock, words};
use crate::maps::{ORIGIN, TCP_ORIGIN};

/// Notes it; false if there was no memory.
#[inline(always)]
pub(crate) fn store(sock: &impl Sock, mut origin: Origin) -> bool {
    if is_tcp(sock) && TCP_ORIGIN.insert(cookie(sock), origin, 0).is_ok() {
        return true;
    }
    let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    let kept = beside(sock, &raw mut origin, create);
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
    if is_tcp(sock)
        && let Some(kept) = TCP_ORIGIN.get_ptr(cookie(sock))
    {
        // SAFETY: a valid value of the map, which lives as long as the socket.
        return Some(unsafe { &*kept });
    }
    let kept = beside(sock, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { kept.as_ref() }
}

/// Forgets it: the socket dials something that is not steered.
#[inline(always)]
pub(crate) fn clear(sock: &impl Sock) {
    if is_tcp(sock) {
        // Nearly always there is none: a TCP socket dials again only after a failure.
        let _absent = TCP_ORIGIN.remove(cookie(sock));
    }
    // SAFETY: the map's own address and the context's own socket.
    unsafe { bpf_sk_storage_delete((&raw const ORIGIN).cast_mut().cast(), socket(sock).cast()) };
}

/// Forgets it: the socket is closed.
#[inline(always)]
pub(crate) fn release(ctx: &SockContext) {
    // SAFETY: the kernel hands a valid context; protocol is readable in this hook.
    let proto = unsafe { read_volatile(&raw const (*ctx.sock).protocol) };
    if proto != Proto::Tcp as u32 {
        return;
    }
    // SAFETY: the kernel's own context pointer.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let _absent = TCP_ORIGIN.remove(cookie);
}

/// Whether the socket has a peer. One that was disconnected (`connect` to `AF_UNSPEC`, which passes no
/// hook) keeps what was noted, and it does not count.
#[inline(always)]
pub(crate) fn is_connected(sock: &impl Sock) -> bool {
    // SAFETY: the context's own socket; dst_port is readable in each of these hooks.
    unsafe { read_volatile(&raw const (*socket(sock)).dst_port) != 0 }
}

#[inline(always)]
fn beside(sock: &impl Sock, value: *mut Origin, flags: u64) -> *mut Origin {
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

#[inline(always)]
fn is_tcp(sock: &impl Sock) -> bool {
    sock.proto_number() == Proto::Tcp as u32
}

/// The kernel's number of the socket, never used again.
#[inline(always)]
fn cookie(sock: &impl Sock) -> u64 {
    // SAFETY: the kernel's own context pointer.
    unsafe { bpf_get_socket_cookie(sock.context().as_ptr()) }
}
