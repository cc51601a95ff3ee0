//! Whose packet it is: the network namespace of its socket.

use core::ptr::read_volatile;

use aya_ebpf::helpers::bpf_probe_read_kernel;

use super::skb::Skb;
use crate::maps::NETNS_FIELDS;

/// The cookie of the namespace; 0 if it cannot be told.
///
/// The kernel tells it in these hooks from Linux 6.15 on. Before, it is read where the kernel itself
/// keeps it, at offsets that the agent took from the kernel's type information. The verifier knows
/// which of the two it is, and looks at no other.
#[inline(always)]
pub(crate) fn of(skb: Skb) -> u64 {
    // SAFETY: a static; volatile, because the agent sets it when it loads the object.
    let [socket, net, cookie] = unsafe { read_volatile(&raw const NETNS_FIELDS) };
    if socket == 0 {
        return skb.namespace();
    }
    // SAFETY: the context is the kernel's own packet; what is read faults nowhere.
    let read = |at: u64| unsafe { bpf_probe_read_kernel(at as *const u64) };
    // SAFETY: only an address.
    let socket =
        unsafe { bpf_probe_read_kernel(skb.0.cast::<u8>().wrapping_add(socket as usize).cast()) };
    let Ok(socket) = socket else { return 0 };
    let Ok(net) = read(offset(socket, net)) else {
        return 0;
    };
    read(offset(net, cookie)).unwrap_or(0)
}

#[inline(always)]
fn offset(base: u64, field: u32) -> u64 {
    base.wrapping_add(u64::from(field))
}
