//! cgroup/sendmsg4 and sendmsg6: an endpoint is chosen for each datagram of a UDP socket that
//! sends without connecting.
//!
//! Fails open, as connect does.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_socket_cookie, macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use steer_common::{addr::Peer, flow::ReplyKey, logic::Steer, reason::Reason, service::Route};

use super::steer::steer;
use crate::{
    core::{
        guard::Attempt,
        sock::{Sock, V4, V6},
    },
    maps::UDP_REPLY,
};

/// AF_INET sockets.
#[cgroup_sock_addr(sendmsg4)]
pub fn steer_sendmsg4(ctx: SockAddrContext) -> i32 {
    steer(&V4(&ctx), Attempt::Datagram, remember, hand_over, |_| ()).literal()
}

/// AF_INET6 sockets, those that send to IPv4 among them.
#[cgroup_sock_addr(sendmsg6)]
pub fn steer_sendmsg6(ctx: SockAddrContext) -> i32 {
    steer(&V6(&ctx), Attempt::Datagram, remember, hand_over, |_| ()).literal()
}

/// Never: datagrams carry no requests that are looked at.
#[inline(always)]
fn hand_over<S: Sock>(_: &S, _: Peer, _: &Route, _: Peer) -> Reason {
    Reason::HandedOver
}

#[inline(always)]
fn remember<S: Sock>(sock: &S, dialled: Peer, steered: &Steer<'_>) -> Reason {
    // SAFETY: the kernel's own context pointer.
    let socket = unsafe { bpf_get_socket_cookie(sock.context().as_ptr()) };
    let key = ReplyKey {
        socket,
        endpoint: steered.endpoint.peer(),
        pad: 0,
    };
    if UDP_REPLY.get_ptr(key).is_some_and(|known| {
        // SAFETY: a valid row of the map; a torn read at worst writes the same value again.
        unsafe { *known == dialled }
    }) {
        return steered.reason;
    }
    match UDP_REPLY.insert(key, dialled, 0) {
        Ok(()) => steered.reason,
        Err(_) => Reason::ReplyNotStored,
    }
}
