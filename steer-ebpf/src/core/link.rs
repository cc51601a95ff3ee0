//! What concerns the link only, and whether it stays there.

use core::mem::zeroed;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_fib_lookup},
    helpers::generated::bpf_fib_lookup as lookup,
};
use steer_common::parse::packet::{ICMP6, ODD_EXTENSION, Packet};

use super::skb::Skb;

/// `AF_INET6` of linux/socket.h.
const AF_INET6: u8 = 10;
/// Types of neighbour discovery (RFC 4861, sections 4.3 and 4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// `BPF_FIB_LKUP_RET_*` of linux/bpf.h: found; nothing to hand on; found, and the neighbour is not
/// known yet.
const SUCCESS: i64 = 0;
const NOT_FORWARDED: i64 = 4;
const NO_NEIGHBOUR: i64 = 7;

/// What concerns the link only: neighbour discovery, and reports of multicast listeners. Of the
/// former, only neighbours ask and answer at addresses that are not of the link.
#[inline(always)]
pub(crate) fn is_of_link(packet: &Packet) -> bool {
    let between = matches!(packet.flags, SOLICITATION | ADVERTISEMENT);
    packet.is_neighbour() && (between || goes_to_link(packet)) || is_listener_report(packet)
}

/// Whether it goes to an address that is of the link by its scope (RFC 4291, sections 2.5.6 and 2.7).
#[inline(always)]
fn goes_to_link(packet: &Packet) -> bool {
    let [one, two] = prefix(packet);
    one == 0xff && two & 0xf == 2 || one == 0xfe && two & 0xc0 == 0x80
}

/// Reports of multicast listeners carry a hop-by-hop option and go to the link, not beyond: to
/// `ff02::/16`, with one hop.
#[inline(always)]
fn is_listener_report(packet: &Packet) -> bool {
    let kind = packet.odd == ODD_EXTENSION && packet.proto == 0 || packet.proto == ICMP6;
    kind && packet.hops == 1 && prefix(packet) == [0xff, 0x02]
}

/// The first two bytes of where it goes.
#[inline(always)]
fn prefix(packet: &Packet) -> [u8; 2] {
    let [first, ..] = packet.target.addr.words();
    let [one, two, ..] = first.to_ne_bytes();
    [one, two]
}

/// Whether a node hands a packet of the link on no further: it goes to an address of the link, to the
/// node itself, or to a neighbour on the bridge. A router looks at the hops of what it hands on, not
/// at what it carries.
#[inline(always)]
pub(crate) fn stays(skb: Skb, packet: &Packet, bridge: u32) -> bool {
    let of_link = goes_to_link(packet);
    let [one, _] = prefix(packet);
    let beyond = one == 0xff && !of_link;
    of_link || !beyond && steer_stays(skb.0, packet, bridge) != 0
}

/// Whether the node, by its routes, keeps the packet. A function of its own: the stack of its
/// callers has no room for the question.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_stays(skb: *mut __sk_buff, packet: *const Packet, bridge: u32) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let Some(packet) = (unsafe { packet.as_ref() }) else {
        return 0;
    };
    // SAFETY: numbers, of which each may be zero.
    let mut question: bpf_fib_lookup = unsafe { zeroed() };
    question.family = AF_INET6;
    question.l4_protocol = ICMP6;
    question.ifindex = Skb(skb).interface();
    question.__bindgen_anon_3.ipv6_src = packet.source.addr.words();
    question.__bindgen_anon_4.ipv6_dst = packet.target.addr.words();
    let size = size_of::<bpf_fib_lookup>() as i32;
    // SAFETY: a valid context, and a question of that size.
    let found = unsafe { lookup(skb.cast(), &raw mut question, size, 0) };
    let on_bridge = bridge != 0 && question.ifindex == bridge;
    u32::from(found == NOT_FORWARDED || on_bridge && matches!(found, SUCCESS | NO_NEIGHBOUR))
}
