//! Who looks at the requests of a connection: the agent, if it listens in the client's network
//! namespace and lives.
//!
//! Fails open, or closed if the node is told so and more than weights is at stake: a connection is never
//! sent where nobody listens.

use core::ptr::{addr_of, addr_of_mut, read_volatile};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_sock, bpf_sock_tuple},
    helpers::{
        bpf_ktime_get_coarse_ns, bpf_probe_read_kernel,
        generated::{bpf_sk_release, bpf_skc_lookup_tcp},
    },
    programs::SockAddrContext,
};
use steer_common::{
    addr::{Addr, Peer, Port},
    egress::meta::AWAY_CLOSED,
    logic::Door,
    service::{REQUEST_PORT, ROUTE_AUTO, Route, request_address},
};

use super::origin;
use crate::maps::{META, V6_ONLY_BIT};

/// The namespace of the socket that asks.
const CURRENT_NAMESPACE: u64 = -1_i64 as u64;
/// `TCP_LISTEN`.
const LISTENS: u32 = 10;
/// The IPv4 half of a `bpf_sock_tuple`.
const TUPLE_SIZE: u32 = 12;

/// Who is asked about the requests of a route.
#[inline(always)]
pub(crate) fn of(context: &SockAddrContext, route: &Route) -> Door {
    // SAFETY: the kernel hands a valid context; the union's only real member is the socket.
    let socket = unsafe { (*context.sock_addr).__bindgen_anon_1.sk };
    if origin::is_agents(socket) {
        return Door::Open;
    }
    let Some(meta) = META.get(0) else {
        return Door::Open;
    };
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_coarse_ns() };
    if meta.is_agent_there(now_ns)
        && reaches_loopback(socket, route)
        && let Some(address) = request_address(route.split)
    {
        let word = u32::from_ne_bytes(address);
        if listens(context, word) {
            let addr = Addr::from_v4_word(word);
            return Door::Listener(Peer::new(addr, Port::new(REQUEST_PORT)));
        }
    }
    if meta.when_away == AWAY_CLOSED && !route.has(ROUTE_AUTO) {
        Door::Closed
    } else {
        Door::Open
    }
}

/// Whether a socket may be connected to the loopback of IPv4: it is bound to no device and no address,
/// and if it dials IPv6, it speaks IPv4 too.
#[inline(always)]
fn reaches_loopback(socket: *const bpf_sock, route: &Route) -> bool {
    // SAFETY: the context's own socket; both words are readable in the hooks of connect.
    let free = unsafe {
        read_volatile(addr_of!((*socket).bound_dev_if)) == 0
            && read_volatile(addr_of!((*socket).src_ip4)) == 0
    };
    free && (route.key.addr.is_v4() || speaks_v4(socket))
}

/// How much of a socket is read: where each kernel keeps the bit that is looked for.
const SOCKET_BYTES: usize = 32;

/// Whether an IPv6 socket may be connected to IPv4.
#[inline(always)]
fn speaks_v4(socket: *const bpf_sock) -> bool {
    // SAFETY: a static; volatile, because the agent sets it when it loads the object.
    let bit = unsafe { read_volatile(&raw const V6_ONLY_BIT) };
    if bit == 0 {
        return false;
    }
    // The verifier lets nothing be added to the address of a socket: so it is read from its start.
    // SAFETY: reading a kernel address faults nowhere.
    let Ok(bytes) = (unsafe { bpf_probe_read_kernel(socket.cast::<[u8; SOCKET_BYTES]>()) }) else {
        return false;
    };
    let byte = bytes.get((bit / 8) as usize & (SOCKET_BYTES - 1));
    byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 0)
}

/// Whether somebody listens there.
#[inline(always)]
fn listens(context: &SockAddrContext, address: u32) -> bool {
    let mut tuple = bpf_sock_tuple {
        __bindgen_anon_1: aya_ebpf::bindings::bpf_sock_tuple__bindgen_ty_1 {
            ipv4: aya_ebpf::bindings::bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
                saddr: u32::from_ne_bytes([127, 0, 0, 1]),
                daddr: address,
                sport: 0,
                dport: REQUEST_PORT.to_be(),
            },
        },
    };
    // SAFETY: the kernel's own context, and a tuple on the stack that is as long as is said.
    let found = unsafe {
        bpf_skc_lookup_tcp(
            context.as_ptr(),
            addr_of_mut!(tuple),
            TUPLE_SIZE,
            CURRENT_NAMESPACE,
            0,
        )
    };
    if found.is_null() {
        return false;
    }
    // SAFETY: a socket that is held until it is released, which is once.
    unsafe {
        let state = read_volatile(addr_of!((*found).state));
        bpf_sk_release(found.cast());
        state == LISTENS
    }
}
