//! First bytes: on ports that ask for a name, a connection is held to the one in its TLS hello or
//! its first request.
//!
//! What is not complete passes, for a server can do nothing with it; the segment that completes it
//! is held to the verdict. Cgroup and veth meet the same segments and share what is known of them.

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg},
    ptr::read_volatile,
};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_loop, bpf_map_lookup_elem},
};
use steer_common::{
    egress::{Check, Flow, FlowKey, FlowState, NameRule},
    limits::HELLOS_MAX,
    logic::Wish,
    parse::{
        hello::{CHUNK, HELLO_MAX, Hello, STEPS, Said},
        packet::Packet,
    },
    reason::Reason,
};

use super::{egress_maps::Client, judge, skb::Skb};
use crate::maps::{EGRESS_NAMES, FLOWS, HELLO_TURN, HELLOS};

/// Looks at a segment that carries first bytes. The number of a reason: `HelloPending`,
/// `HelloAllowed`, `FlowKnown` pass, `HelloRewritten` is dropped, any other refuses the connection.
#[inline(always)]
pub(crate) fn look(skb: Skb, packet: &Packet, client: &Client) -> u32 {
    steer_hello(skb.0, packet, client)
}

/// A function of its own: the verifier reads it once for each program.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_hello(
    skb: *mut __sk_buff,
    packet: *const Packet,
    client: *const Client,
) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let (Some(packet), Some(client)) = (unsafe { (packet.as_ref(), client.as_ref()) }) else {
        return Reason::HelloRewritten.index();
    };
    let mut flow = Flow::default();
    let hello = match find(packet, &mut flow) {
        Ok(hello) => hello,
        Err(reason) => return reason.index(),
    };
    // SAFETY: a row of the map, which this program has locked.
    let reason = read(Skb(skb), packet, client, &mut flow, unsafe { &mut *hello });
    swap(hello, 0);
    reason
}

/// The row of FLOWS of a connection, and that of HELLOS. The latter has the key: a second one on the
/// stack would be one too many (Linux 6.1, which counts frames in steps of 32 bytes).
#[inline(always)]
fn find(packet: &Packet, flow: &mut Flow) -> Result<*mut Hello, Reason> {
    let key = &FlowKey::connection(packet.source, packet.target, u32::from(packet.proto));
    let found = FLOWS.get_ptr(key).ok_or(Reason::HelloRewritten)?;
    // SAFETY: an element of the map, copied out at once.
    *flow = unsafe { *found };
    let offset = packet.seq.wrapping_sub(flow.first);
    room(key, flow, offset)
}

/// Takes the row of HELLOS that has the first bytes of a connection, or its turn to have one.
#[inline(always)]
fn room(key: &FlowKey, flow: &mut Flow, offset: u32) -> Result<*mut Hello, Reason> {
    let fresh = flow.turn == 0;
    if fresh {
        if offset != 0 {
            return Err(Reason::HelloRewritten);
        }
        let turn = HELLO_TURN.get_ptr_mut(0).ok_or(Reason::HelloRewritten)?;
        // SAFETY: a valid, aligned u64 of the map. SeqCst as for tickets.
        let turn = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(turn, 1) };
        flow.turn = (turn % u64::from(HELLOS_MAX)) as u32 + 1;
        let row: &Flow = flow;
        if FLOWS.insert(key, row, 0).is_err() {
            return Err(Reason::HelloRewritten);
        }
    }
    let hello = HELLOS.get_ptr_mut(flow.turn.wrapping_sub(1));
    let hello = hello.ok_or(Reason::HelloRewritten)?;
    if swap(hello, 1) != 0 {
        // Another processor has it: what is dropped is sent again.
        return Err(Reason::HelloRewritten);
    }
    // SAFETY: a row of the map, locked.
    let row = unsafe { &mut *hello };
    if fresh {
        row.owner = *key;
        row.begin();
    } else if row.owner != *key {
        swap(hello, 0);
        // Others needed the row. What was accepted can no longer be compared, and what was not
        // all there never will be.
        let accepted = flow.state == FlowState::Outbound as u32;
        return Err(if accepted {
            Reason::HelloRewritten
        } else {
            Reason::HelloTooLong
        });
    }
    Ok(hello)
}

#[inline(always)]
fn swap(hello: *mut Hello, value: u64) -> u64 {
    // SAFETY: a valid row of the map; the word is aligned. SeqCst as for tickets.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(&raw mut (*hello).busy, value) }
}

#[inline(always)]
fn read(skb: Skb, packet: &Packet, client: &Client, flow: &mut Flow, hello: &mut Hello) -> u32 {
    let offset = packet.seq.wrapping_sub(flow.first);
    if !hello.expects(offset) {
        return Reason::HelloRewritten.index();
    }
    feed(skb, packet, hello);
    if !hello.fed(packet.carried()) {
        return Reason::HelloRewritten.index();
    }
    let check = match FlowState::from_word(flow.state) {
        FlowState::WantsSni => Check::Sni,
        FlowState::WantsHost => Check::Host,
        // Sent again.
        _ => return Reason::FlowKnown.index(),
    };
    walk(check, hello);
    let (reason, held, host) = match hello.said() {
        Said::Pending => return Reason::HelloPending.index(),
        Said::Refused(reason) => (reason, 0, 0),
        Said::Name(held) => {
            let host = host(hello, client.policy);
            let wish = Wish {
                policy: client.policy,
                peer: packet.target,
                proto: u32::from(packet.proto),
            };
            if judge::names_host(&wish, host) {
                (Reason::HelloAllowed.index(), held, host)
            } else {
                (Reason::HelloNotListed.index(), 0, 0)
            }
        }
    };
    flow.state = if host == 0 {
        FlowState::Refused as u32
    } else {
        FlowState::Outbound as u32
    };
    flow.held = held;
    flow.host = host;
    // Without room the row stays as it was: the bytes are looked at again.
    let (key, row): (&FlowKey, &Flow) = (&hello.owner, flow);
    let _full = FLOWS.insert(key, row, 0);
    reason
}

/// The host of the registry that the name belongs to; 0 for none.
#[inline(always)]
fn host(hello: &mut Hello, policy: u32) -> u32 {
    let at = hello.name.key(policy);
    // SAFETY: a local. Volatile and masked: so the verifier knows that a whole key follows.
    let at = unsafe { read_volatile(&raw const at) } & 511;
    let key = hello.name.room().as_ptr().wrapping_add(at);
    // SAFETY: the map's own address; 260 bytes follow `key` in the room.
    let rule =
        unsafe { bpf_map_lookup_elem((&raw const EGRESS_NAMES).cast_mut().cast(), key.cast()) };
    let rule = rule.cast::<NameRule>();
    // SAFETY: null or a value of the map.
    unsafe { rule.as_ref() }.map_or(0, |rule| rule.host)
}

/// What `feed_callback` works with.
struct Work {
    skb: *mut __sk_buff,
    hello: *mut Hello,
    /// Where the segment's bytes begin in the packet, and how many there are.
    payload: u32,
    carried: u32,
}

#[inline(always)]
fn feed(skb: Skb, packet: &Packet, hello: &mut Hello) {
    let mut work = Work {
        skb: skb.0,
        hello,
        payload: packet.payload,
        carried: packet.carried(),
    };
    // SAFETY: the callback is of the kind that bpf_loop calls; its context is on the stack.
    unsafe {
        bpf_loop(
            (HELLO_MAX / CHUNK) as u32 + 1,
            feed_callback as *mut c_void,
            (&raw mut work).cast(),
            0,
        );
    }
}

/// Some bytes of the segment; 1 stops.
#[inline(never)]
extern "C" fn feed_callback(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slots that `feed` passes.
    let (work, hello) = unsafe {
        let work = &*context.cast::<Work>();
        (work, &mut *work.hello)
    };
    let whole = work.carried >= CHUNK as u32;
    let stride = if whole { CHUNK as u32 } else { 1 };
    let mut at = index as u32 * stride;
    if at >= work.carried {
        return 1;
    }
    let mut chunk = [0; CHUNK];
    let loaded = if whole {
        // The last ones together with some of those before.
        at = at.min(work.carried - CHUNK as u32);
        Skb(work.skb).load(work.payload.wrapping_add(at), &mut chunk)
    } else {
        let first = chunk.first_chunk_mut::<1>();
        first.is_some_and(|byte| Skb(work.skb).load(work.payload.wrapping_add(at), byte))
    };
    if !loaded {
        hello.spoil();
        return 1;
    }
    hello.feed(&chunk, stride, at);
    0
}

/// Reads what is there.
#[inline(always)]
fn walk(check: Check, hello: &mut Hello) {
    let mut context: *mut Hello = hello;
    let context = (&raw mut context).cast();
    // SAFETY: the callbacks are of the kind that bpf_loop calls; their context is a stack slot.
    unsafe {
        if matches!(check, Check::Host) {
            bpf_loop(STEPS, http_callback as *mut c_void, context, 0);
        } else {
            bpf_loop(STEPS, tls_callback as *mut c_void, context, 0);
        }
    }
}

/// One byte of a request; 1 stops.
#[inline(never)]
extern "C" fn http_callback(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slot that `walk` passes, which holds its row.
    let hello = unsafe { &mut **context.cast::<*mut Hello>() };
    i64::from(hello.step(Check::Host))
}

/// One extension, or byte of a name; 1 stops.
#[inline(never)]
extern "C" fn tls_callback(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slot that `walk` passes, which holds its row.
    let hello = unsafe { &mut **context.cast::<*mut Hello>() };
    i64::from(hello.step(Check::Sni))
}
