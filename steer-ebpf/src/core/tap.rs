//! What a segment carries: requests in it are counted, and it is handed to the agent.

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_xadd},
    ptr::{addr_of_mut, read_volatile},
};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_loop, bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit},
};
use steer_common::{
    counted::Counted,
    flow::{DESTINATION_BY_REQUEST, Origin},
    limits::DESTINATIONS_MAX,
    parse::{
        packet::{Packet, TCP},
        requests::{FRAMES_MAX, Walk},
    },
    reason::Reason,
    tap::{TAP_LARGE, TAP_RECORDS, TAP_SMALL, TapHead, TapRecord},
};

use super::{
    count, namespace, origin,
    skb::{Skb, read},
};
use crate::maps::{COUNTED, TAP, TAPPED};

/// The agent looks by itself, so that nobody is woken for each segment.
const NO_WAKEUP: u64 = aya_ebpf::bindings::BPF_RB_NO_WAKEUP as u64;

/// Looks at a segment, if it is of a route whose requests are counted or copied.
#[inline(always)]
pub(crate) fn segment(skb: Skb) {
    let socket = skb.socket();
    let Some(origin) = origin::of_cookie(socket) else {
        return;
    };
    if origin.destination == DESTINATION_BY_REQUEST {
        return;
    }
    let is_tapped = TAPPED.get_ptr(origin.split).is_some();
    // SAFETY: a local. Volatile: LLVM would or two pointers to test both at once, and the verifier
    // prohibits that ("pointer |= pointer").
    let is_tapped = unsafe { read_volatile(&raw const is_tapped) };
    let row = COUNTED.get_ptr_mut(origin.split);
    if !is_tapped && row.is_none() {
        return;
    }
    let mut packet = Packet::default();
    if read(skb, 0, &mut packet).is_err() || packet.proto != TCP {
        return;
    }
    if let Some(row) = row {
        requests(skb, origin, row, &packet);
    }
    if is_tapped {
        hand_over(skb, socket, origin, &packet);
    }
}

/// Counts requests that begin in it, for the destination that the connection has.
#[inline(always)]
fn requests(skb: Skb, origin: &Origin, row: *mut Counted, packet: &Packet) {
    // SAFETY: a valid row of the map.
    let (split, since) = unsafe { ((*row).split, (*row).since) };
    // Its destinations were others then; or the row was given to another route meanwhile.
    if split != origin.split || origin.generation < since {
        return;
    }
    let mut look = Look {
        skb: skb.0,
        walk: Walk::new(&skb, packet.payload, packet.end),
    };
    if look.walk.has_frames() {
        // SAFETY: the callback is of the kind that bpf_loop calls; its context is on the stack.
        unsafe {
            bpf_loop(
                FRAMES_MAX,
                frame_callback as *mut c_void,
                (&raw mut look).cast(),
                0,
            );
        }
    }
    // SAFETY: a local. Volatile, because the callback wrote it.
    let found = unsafe { read_volatile(&raw const look.walk.requests) };
    if found > 0 {
        let index = origin.destination as usize & (DESTINATIONS_MAX - 1);
        let more = u64::from(found);
        // SAFETY: a word of the row: the index is below their number.
        unsafe {
            let count = addr_of_mut!((*row).requests).cast::<u64>().add(index);
            atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(count, more);
        }
    }
}

/// What the callback works on.
struct Look {
    skb: *mut __sk_buff,
    walk: Walk,
}

/// One frame; 1 stops.
#[inline(never)]
extern "C" fn frame_callback(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slots that `requests` passes.
    let look = unsafe { &mut *context.cast::<Look>() };
    i64::from(look.walk.step(&Skb(look.skb)))
}

/// Hands over what it carries.
#[inline(always)]
fn hand_over(skb: Skb, socket: u64, origin: &Origin, packet: &Packet) {
    let mut head = TapHead {
        socket,
        client: namespace::of(skb),
        split: origin.split,
        seq: packet.seq,
        len: 0,
        pad: 0,
    };
    let mut at = packet.payload;
    let mut records = 0;
    while records < TAP_RECORDS {
        let left = packet.end.saturating_sub(at);
        if left == 0 {
            return;
        }
        let copied = if left > TAP_SMALL as u32 {
            record::<TAP_LARGE>(skb, &head, at, packet.end)
        } else {
            record::<TAP_SMALL>(skb, &head, at, packet.end)
        };
        if copied == 0 {
            count::reason(Reason::TapFull);
            return;
        }
        at = at.wrapping_add(copied);
        head.seq = head.seq.wrapping_add(copied);
        records += 1;
    }
}

/// One record; says how many bytes it holds.
#[inline(always)]
fn record<const N: usize>(skb: Skb, head: &TapHead, at: u32, end: u32) -> u32 {
    let size = size_of::<TapRecord<N>>() as u64;
    // SAFETY: the map's own address.
    let room = unsafe { bpf_ringbuf_reserve((&raw const TAP).cast_mut().cast(), size, 0) };
    if room.is_null() {
        return 0;
    }
    let room: *mut TapRecord<N> = room.cast();
    // SAFETY: room for a record, until it is submitted or discarded, which is once.
    unsafe {
        let Some(len) = skb.copy(at, end, 1, addr_of_mut!((*room).bytes)) else {
            bpf_ringbuf_discard(room.cast(), NO_WAKEUP);
            return 0;
        };
        (*room).head = TapHead {
            len: len as u32,
            ..*head
        };
        bpf_ringbuf_submit(room.cast(), NO_WAKEUP);
        len as u32
    }
}
