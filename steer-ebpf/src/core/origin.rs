//! What a socket dialled, kept as long as the socket.
//!
//! A UDP socket may dial again and again: beside the socket a note costs least to write over. A TCP
//! socket dials once, and taking and freeing memory beside it costs about 3 us, of which most is paid
//! when it closes (`cargo xtask bench throughput`): it has a row of an array, if that is free.

use core::ptr::{self, addr_of_mut, read_volatile};

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get},
};
use steer_common::{
    addr::Proto,
    flow::{Origin, SPLIT_OF_AGENT, TcpOrigin},
};

use super::{rows, sock::Sock};
use crate::maps::{ORIGIN, TCP_ORIGIN};

/// Notes it; false if there was no memory.
#[inline(always)]
pub(crate) fn store(sock: &impl Sock, mut origin: Origin) -> bool {
    if is_tcp(sock)
        && let Some(row) = claim(sock.cookie())
    {
        // SAFETY: a row of this socket's own.
        unsafe { row.write(origin) };
        return true;
    }
    let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    let kept = beside(sock, &raw mut origin, create);
    if kept.is_null() {
        return false;
    }
    // Copied even if just created from the same value: a socket may dial twice.
    // SAFETY: not null, hence a valid value of the map.
    unsafe { kept.write(origin) };
    true
}

/// What was noted.
#[inline(always)]
pub(crate) fn load(sock: &impl Sock) -> Option<&'static Origin> {
    if is_tcp(sock)
        && let Some(row) = own(sock.cookie())
    {
        // SAFETY: a valid row of the map, which is the socket's until it closes.
        return Some(unsafe { &(*row).origin });
    }
    let kept = beside(sock, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { kept.as_ref() }
}

/// What was noted of a TCP socket, in a hook that has no socket address; of one of the agent's, that it is.
#[inline(always)]
pub(crate) fn of_socket(cookie: u64, socket: *mut bpf_sock) -> Option<&'static Origin> {
    let kept = kept_beside(socket, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    let kept = unsafe { kept.as_ref() };
    if kept.is_some_and(is_of_agent) {
        return kept;
    }
    of_cookie(cookie).or(kept)
}

/// Forgets it: the socket dials something that is not steered. That it is the agent's holds whatever it
/// dials.
#[inline(always)]
pub(crate) fn clear(sock: &impl Sock) {
    if is_tcp(sock) {
        release(sock.cookie());
    }
    if is_agents(socket(sock)) {
        return;
    }
    // SAFETY: the map's own address and the context's own socket.
    unsafe { bpf_sk_storage_delete((&raw const ORIGIN).cast_mut().cast(), socket(sock).cast()) };
}

/// Forgets it: the socket is closed. What is beside it goes with it.
#[inline(always)]
pub(crate) fn release(socket: u64) {
    if let Some(row) = TCP_ORIGIN.get_ptr_mut(rows::index(socket)) {
        // SAFETY: the owner's word of a row of the map.
        unsafe { rows::free(addr_of_mut!((*row).socket), socket) };
    }
}

/// The row of the socket, if it has one.
#[inline(always)]
fn own(socket: u64) -> Option<*mut TcpOrigin> {
    let row = TCP_ORIGIN.get_ptr_mut(rows::index(socket))?;
    // SAFETY: the owner's word of a row of the map.
    unsafe { rows::is_of(addr_of_mut!((*row).socket), socket) }.then_some(row)
}

/// What was noted of a TCP socket, by its cookie.
#[inline(always)]
pub(crate) fn of_cookie(socket: u64) -> Option<&'static Origin> {
    // SAFETY: a valid row of the map, which is the socket's until it closes.
    own(socket).map(|row| unsafe { &(*row).origin })
}

/// Takes the row of the socket, unless another socket has it.
#[inline(always)]
fn claim(socket: u64) -> Option<*mut Origin> {
    let row = TCP_ORIGIN.get_ptr_mut(rows::index(socket))?;
    // SAFETY: words of a row of the map.
    unsafe {
        rows::claim(addr_of_mut!((*row).socket), socket).then_some(addr_of_mut!((*row).origin))
    }
}

/// Whether the agent opened it, and says so by a note that nobody else can write.
#[inline(always)]
pub(crate) fn is_agents(socket: *mut bpf_sock) -> bool {
    let kept = kept_beside(socket, ptr::null_mut(), 0);
    // SAFETY: null or a valid value of the map, which lives as long as the socket.
    unsafe { kept.as_ref() }.is_some_and(is_of_agent)
}

#[inline(always)]
fn is_of_agent(origin: &Origin) -> bool {
    origin.split == SPLIT_OF_AGENT
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
    kept_beside(socket(sock), value, flags)
}

#[inline(always)]
fn kept_beside(socket: *mut bpf_sock, value: *mut Origin, flags: u64) -> *mut Origin {
    // SAFETY: the map's own address and the socket of a context.
    unsafe {
        bpf_sk_storage_get(
            (&raw const ORIGIN).cast_mut().cast(),
            socket.cast(),
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
