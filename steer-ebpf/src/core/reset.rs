//! A refused TCP packet becomes its own answer: a reset, sent back to the pod.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{
        bpf_redirect,
        generated::{bpf_skb_change_tail, bpf_skb_store_bytes},
    },
};
use steer_common::parse::{
    packet::Packet,
    reset::{LEN_V4, LEN_V6, reset},
};

use super::skb::Skb;

/// Length of an Ethernet header.
pub(crate) const ETHERNET: u32 = 14;

/// Turns the frame round. None if that failed: it is dropped.
#[inline(always)]
pub(crate) fn answer(skb: Skb, packet: &Packet) -> Option<i32> {
    let sent = steer_reset(skb.0, packet);
    (sent >= 0).then_some(sent)
}

/// What the hook returns, or -1. A function of its own: the stack of its caller has no room.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_reset(skb: *mut __sk_buff, packet: *const Packet) -> i32 {
    // SAFETY: null, which the verifier wants to see tested, or a whole packet.
    let Some(packet) = (unsafe { packet.as_ref() }) else {
        return -1;
    };
    let (mut to, mut from) = ([0; 6], [0; 6]);
    if !Skb(skb).load(0, &mut to) || !Skb(skb).load(6, &mut from) {
        return -1;
    }
    let mut reply = [0; LEN_V6];
    reset(packet, &mut reply);
    let stored = if packet.target.addr.is_v4() {
        replace::<LEN_V4>(skb, &from, &to, &reply)
    } else {
        replace::<LEN_V6>(skb, &from, &to, &reply)
    };
    if !stored {
        return -1;
    }
    // SAFETY: a helper without pointers.
    unsafe { bpf_redirect(Skb(skb).interface(), 0) as i32 }
}

#[inline(always)]
fn replace<const LENGTH: usize>(
    skb: *mut __sk_buff,
    to: &[u8; 6],
    from: &[u8; 6],
    reply: &[u8; LEN_V6],
) -> bool {
    // SAFETY: a valid context, and arrays that are as long as is said.
    unsafe {
        bpf_skb_change_tail(skb, ETHERNET + LENGTH as u32, 0) == 0
            && bpf_skb_store_bytes(skb, 0, to.as_ptr().cast(), 6, 0) == 0
            && bpf_skb_store_bytes(skb, 6, from.as_ptr().cast(), 6, 0) == 0
            && bpf_skb_store_bytes(skb, ETHERNET, reply.as_ptr().cast(), LENGTH as u32, 0) == 0
    }
}
