//! cgroup/recvmsg4 and recvmsg6: a datagram from the endpoint seems to come from what was dialled.
//!
//! Never refuses: what is not known is left alone.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_socket_cookie, macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use steer_common::{addr::Peer, flow::ReplyKey, reason::Reason};

use crate::{
    core::{
        count, origin,
        sock::{Sock, V4, V6},
        verdict::GO_ON,
    },
    maps::UDP_REPLY,
};

/// AF_INET sockets.
#[cgroup_sock_addr(recvmsg4)]
pub fn steer_recvmsg4(ctx: SockAddrContext) -> i32 {
    restore(&V4(&ctx));
    GO_ON
}

/// AF_INET6 sockets, those that receive from IPv4 among them.
#[cgroup_sock_addr(recvmsg6)]
pub fn steer_recvmsg6(ctx: SockAddrContext) -> i32 {
    restore(&V6(&ctx));
    GO_ON
}

#[inline(always)]
fn restore<S: Sock>(sock: &S) {
    let from = sock.peer();
    match dialled(sock, from) {
        Some(dialled) => {
            sock.set_peer(dialled);
            count::reason(Reason::ReplyRestored);
        }
        None => count::reason(Reason::ReplyUntouched),
    }
}

/// What led to this endpoint: a connect of the socket, or a datagram it sent.
#[inline(always)]
fn dialled<S: Sock>(sock: &S, from: Peer) -> Option<Peer> {
    if let Some(origin) = origin::load(sock)
        && origin.endpoint == from
        && origin::is_connected(sock)
    {
        return Some(origin.dialled);
    }
    // SAFETY: the kernel's own context pointer.
    let socket = unsafe { bpf_get_socket_cookie(sock.context().as_ptr()) };
    let key = ReplyKey {
        socket,
        endpoint: from,
        pad: 0,
    };
    // SAFETY: a valid row of the map, copied out at once.
    UDP_REPLY.get_ptr(key).map(|dialled| unsafe { *dialled })
}
