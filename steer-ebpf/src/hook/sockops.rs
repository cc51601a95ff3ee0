//! sockops: TCP connections of observed pods, noted when they are established, reported when they close.
//!
//! Never refuses; attached only while somebody observes a pod.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_STATE_CB,
    },
    macros::sock_ops,
    programs::SockOpsContext,
};
use steer_common::connection::{OBSERVE_ACCEPTED, OBSERVE_OPENED};

use crate::core::connection;

/// Sockets of both families.
#[sock_ops]
pub fn steer_sockops(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => connection::opened(&ctx, OBSERVE_OPENED),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => connection::opened(&ctx, OBSERVE_ACCEPTED),
        BPF_SOCK_OPS_STATE_CB => connection::changed(&ctx),
        _ => {}
    }
    1
}
