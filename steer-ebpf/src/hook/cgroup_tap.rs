//! `cgroup_skb`/egress, once more: what sockets send on routes whose requests are copied or
//! counted.
//!
//! Never refuses. Attached only while there are such routes.

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};

use crate::core::{skb::Skb, tap, verdict::Fate};

/// Packets on their way out of a socket.
#[cgroup_skb(egress)]
pub fn steer_tap(ctx: SkBuffContext) -> i32 {
    tap::segment(Skb(ctx.skb.skb));
    Fate::Pass.cgroup_literal()
}
