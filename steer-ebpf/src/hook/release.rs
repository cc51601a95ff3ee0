//! `cgroup/sock_release`: what is kept of a socket in rows of arrays is left to others when it closes.
//!
//! Never refuses; the kernel ignores the result.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_socket_cookie, macros::cgroup_sock, programs::SockContext,
};

use crate::core::{allowed, origin, verdict::GO_ON};

/// Sockets of every family.
#[cgroup_sock(sock_release)]
pub fn steer_release(ctx: SockContext) -> i32 {
    // SAFETY: the kernel's own context pointer.
    let socket = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    origin::release(socket);
    allowed::release(socket);
    GO_ON
}
