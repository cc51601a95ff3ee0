//! `cgroup/sock_release`: what a socket dialled is forgotten when it closes.
//!
//! Never refuses; the kernel ignores the result.

use aya_ebpf::{macros::cgroup_sock, programs::SockContext};

use crate::core::{origin, verdict::GO_ON};

/// Sockets of every family.
#[cgroup_sock(sock_release)]
pub fn steer_release(ctx: SockContext) -> i32 {
    origin::release(&ctx);
    GO_ON
}
