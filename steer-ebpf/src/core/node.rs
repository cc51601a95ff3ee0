//! What the node itself is, to a packet from a pod.

use core::mem::zeroed;

use aya_ebpf::{
    bindings::{BPF_FIB_LKUP_RET_NOT_FWDED, bpf_fib_lookup},
    helpers::generated::bpf_fib_lookup as fib_lookup,
};
use steer_common::addr::Addr;

use super::skb::Skb;

const AF_INET6: u8 = 10;

/// Whether an IPv6 address is the node's own: what is sent there goes no further. A pod answers
/// whoever looked for it, and the node looks from the address that it sends from.
#[inline(always)]
pub(crate) fn is_own(skb: Skb, addr: &Addr) -> bool {
    // SAFETY: all zeros are a valid query; it is a plain struct of numbers.
    let mut query: bpf_fib_lookup = unsafe { zeroed() };
    query.family = AF_INET6;
    query.ifindex = skb.interface();
    query.__bindgen_anon_4.ipv6_dst = addr.words();
    // SAFETY: a valid context and a query of that size.
    let found = unsafe {
        fib_lookup(
            skb.0.cast(),
            &raw mut query,
            size_of::<bpf_fib_lookup>() as i32,
            0,
        )
    };
    found == i64::from(BPF_FIB_LKUP_RET_NOT_FWDED)
}
