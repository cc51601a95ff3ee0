//! cgroup/getpeername4 and getpeername6: what was dialled is what the application is told.
//!
//! Never refuses: what is not known is left alone.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use steer_common::reason::Reason;

use crate::core::{
    count, origin,
    sock::{Sock, V4, V6},
    verdict::GO_ON,
};

/// AF_INET sockets.
#[cgroup_sock_addr(getpeername4)]
pub fn steer_getpeername4(ctx: SockAddrContext) -> i32 {
    restore(&V4(&ctx));
    GO_ON
}

/// AF_INET6 sockets, those connected to IPv4 among them.
#[cgroup_sock_addr(getpeername6)]
pub fn steer_getpeername6(ctx: SockAddrContext) -> i32 {
    restore(&V6(&ctx));
    GO_ON
}

#[inline(always)]
fn restore<S: Sock>(sock: &S) {
    match origin::load(sock) {
        Some(origin) if origin.endpoint == sock.peer() => {
            sock.set_peer(origin.dialled);
            count::reason(Reason::PeerRestored);
        }
        Some(_) | None => count::reason(Reason::PeerUntouched),
    }
}
