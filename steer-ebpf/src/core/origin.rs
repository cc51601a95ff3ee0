//! What a socket dialled, kept as long as the socket.
//!
//! A UDP socket may dial again and again: beside the socket a note costs least to write over. A TCP
//! socket dials once, and taking and freeing memory beside it costs about 3 us, of which most is paid
//! when it closes (`cargo xtask bench throughput`): it has a row of an array, if that is free.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg},
    ptr::{self, addr_of_mut, read_volatile, write_volatile},
};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::{
        bpf_get_socket_cookie,
        generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
    },
    programs::SockContext,
};
use steer_common::{
    addr::Proto,
    flow::{Origin, TcpOrigin},
    limits,
};

use super::{sock::Sock, words};
use crate::maps::{ORIGIN, TCP_ORIGIN};

/// Notes it; false if there was no memory.
#[inline(always)]
pub(crate) fn store(sock: &impl Sock, mut origin: Origin) -> bool {
    if is_tcp(sock)
        && let Some(row) = claim(cookie(sock))
    {
        // SAFETY: a row of this socket's own; `Origin` is made of words.
        unsafe { words::copy(&raw const origin, row) };
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
        && let Some(row) = own(cookie(sock))
    {
        // SAFETY: a valid row of the map, which is the socket's until it closes.
        return Some(unsafe { &(*row).origin });
    }
    let kept = beside(sock, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { kept.as_ref() }
}

/// Forgets it: the socket dials something that is not steered.
#[inline(always)]
pub(crate) fn clear(sock: &impl Sock) {
    if is_tcp(sock) {
        free(cookie(sock));
    }
    // SAFETY: the map's own address and the context's own socket.
    unsafe { bpf_sk_storage_delete((&raw const ORIGIN).cast_mut().cast(), socket(sock).cast()) };
}

/// Forgets it: the socket is closed. What is beside it goes with it.
#[inline(always)]
pub(crate) fn release(ctx: &SockContext) {
    // SAFETY: the kernel hands a valid context; protocol is readable in this hook.
    let proto = unsafe { read_volatile(&raw const (*ctx.sock).protocol) };
    if proto == Proto::Tcp as u32 {
        // SAFETY: the kernel's own context pointer.
        free(unsafe { bpf_get_socket_cookie(ctx.as_ptr()) });
    }
}

/// The row that a socket has, or may take.
#[inline(always)]
fn row(socket: u64) -> Option<*mut TcpOrigin> {
    TCP_ORIGIN.get_ptr_mut(socket as u32 & (limits::TCP_ORIGINS_MAX - 1))
}

/// Whose the row is; 0 if it is free. One word, touched by single instructions: this target knows no
/// other loads and stores that are atomic.
#[inline(always)]
fn owner(row: *mut TcpOrigin) -> *mut u64 {
    // SAFETY: a row of the map.
    unsafe { addr_of_mut!((*row).socket) }
}

/// The row of the socket, if it has one.
#[inline(always)]
fn own(socket: u64) -> Option<*mut TcpOrigin> {
    // SAFETY: valid and aligned.
    row(socket).filter(|&row| unsafe { read_volatile(owner(row)) } == socket)
}

/// Takes the row of the socket, unless another socket has it.
#[inline(always)]
fn claim(socket: u64) -> Option<*mut Origin> {
    let row = row(socket)?;
    // SAFETY: valid and aligned.
    let (before, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
            owner(row),
            0,
            socket,
        )
    };
    // SAFETY: a row of the map.
    let origin = unsafe { addr_of_mut!((*row).origin) };
    (before == 0 || before == socket).then_some(origin)
}

#[inline(always)]
fn free(socket: u64) {
    if let Some(row) = own(socket) {
        // SAFETY: valid and aligned.
        unsafe { write_volatile(owner(row), 0) };
    }
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
