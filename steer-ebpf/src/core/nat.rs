//! One address and port of a TCP packet for another, and the checksums with them.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_PSEUDO_HDR},
    helpers::generated::{
        bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_store_bytes,
    },
};
use steer_common::{addr::Peer, parse::packet::Packet};

use super::skb::Skb;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Target,
}

/// `BPF_F_IPV6` of linux/bpf.h: no header checksum makes up for the address. Kernels that do not know it
/// refuse it, and find the checksum of the whole frame out by themselves.
const F_IPV6: u64 = 1 << 7;
/// Where the checksum stands in a TCP header, and in one of IPv4.
const TCP_SUM: u32 = 16;
const IPV4_SUM: u32 = 10;

/// Gives the packet `to` in the place of what it has at `end`. False if that failed; then it is no packet
/// that anybody should see.
#[inline(always)]
pub(crate) fn rewrite(skb: Skb, network: u32, packet: &Packet, end: End, to: &Peer) -> bool {
    steer_rewrite(skb.0, network, packet, end as u32, to) == 0
}

/// 0 if all of it was done. A function of its own: verified once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_rewrite(
    skb: *mut __sk_buff,
    network: u32,
    packet: *const Packet,
    end: u32,
    to: *const Peer,
) -> i32 {
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let (Some(packet), Some(to)) = (unsafe { (packet.as_ref(), to.as_ref()) }) else {
        return -1;
    };
    let is_source = end == End::Source as u32;
    let from = if is_source {
        &packet.source
    } else {
        &packet.target
    };
    let (old, new) = (from.addr.words(), to.addr.words());
    // SAFETY: both are 16 bytes on the stack.
    let difference =
        unsafe { bpf_csum_diff(old.as_ptr().cast_mut(), 16, new.as_ptr().cast_mut(), 16, 0) };
    if difference < 0 {
        return -1;
    }
    let difference = difference as u64;
    let is_v4 = packet.source.addr.is_v4();
    let transport = packet.transport;
    let sum = transport.wrapping_add(TCP_SUM);
    let port = transport.wrapping_add(if is_source { 0 } else { 2 });
    let (was, is) = (u64::from(from.port.be()), u64::from(to.port.be()));
    let pseudo = u64::from(BPF_F_PSEUDO_HDR);
    // SAFETY: a valid context; the helpers look at the bounds themselves.
    unsafe {
        let summed = if is_v4 {
            bpf_l4_csum_replace(skb, sum, 0, difference, pseudo)
        } else if bpf_l4_csum_replace(skb, sum, 0, difference, pseudo | F_IPV6) == 0 {
            0
        } else {
            bpf_l4_csum_replace(skb, sum, 0, difference, pseudo)
        };
        if summed != 0 || bpf_l4_csum_replace(skb, sum, was, is, 2) != 0 {
            return -1;
        }
        let port_bytes = to.port.be();
        if bpf_skb_store_bytes(skb, port, (&raw const port_bytes).cast(), 2, 0) != 0 {
            return -1;
        }
        let stored = if is_v4 {
            let word = new[3];
            let at = network.wrapping_add(if is_source { 12 } else { 16 });
            if bpf_l3_csum_replace(skb, network.wrapping_add(IPV4_SUM), 0, difference, 0) != 0 {
                return -1;
            }
            bpf_skb_store_bytes(skb, at, (&raw const word).cast(), 4, 0)
        } else {
            let at = network.wrapping_add(if is_source { 8 } else { 24 });
            bpf_skb_store_bytes(skb, at, new.as_ptr().cast(), 16, 0)
        };
        i32::from(stored != 0)
    }
}
