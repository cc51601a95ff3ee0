//! DNS on its way to and from a pod: questions are noted, and the addresses of allowed names are
//! learned from the answers before the pod sees them.

use core::{
    ffi::c_void,
    ptr::{addr_of, addr_of_mut, read_volatile},
};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_loop, bpf_map_lookup_elem},
};
use steer_common::{
    addr::{Peer, Port},
    egress::{Meta, NameRule, Query, QueryKey, dns::QUERY_LIFE_SECS},
    parse::{
        dns::{Found, HEADER, NAME_STEPS, RECORD_STEPS},
        packet::{Packet, TCP},
    },
    reason::Reason,
};

use super::{
    count,
    egress_maps::{Client, now_secs},
    learn,
    scratch::{self, Scratch},
    skb::Skb,
    verdict::Fate,
};
use crate::maps::{DNS_QUERIES, EGRESS_NAMES};

/// A question to a trusted resolver.
#[inline(always)]
pub(crate) fn question(skb: Skb, packet: &Packet, client: &Client) {
    let reason = steer_question(skb.0, packet, client);
    if reason != 0 {
        count::number(reason);
    }
}

/// The number of a reason; 0 if there is no whole message. A function of its own: the stack of its
/// caller has no room for it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_question(
    skb: *mut __sk_buff,
    packet: *const Packet,
    client: *const Client,
) -> u32 {
    let skb = Skb(skb);
    // SAFETY: null, which the verifier wants to see tested, or whole.
    let (Some(packet), Some(client)) = (unsafe { (packet.as_ref(), client.as_ref()) }) else {
        return 0;
    };
    let Some(at) = message(skb, packet) else {
        return 0;
    };
    let noted = scratch::with(|room| note(skb, packet, client, at, room));
    noted.flatten().unwrap_or(Reason::QueryUnread).index()
}

#[inline(always)]
fn note(skb: Skb, packet: &Packet, client: &Client, at: u32, room: *mut Scratch) -> Option<Reason> {
    // SAFETY: a room of this program's own.
    let scratch = unsafe { &mut *room };
    let length = skb.copy(at, packet.end, HEADER as u64, &raw mut scratch.dns.bytes)?;
    let header = scratch.dns.begin(length)?;
    if header.answer {
        return None;
    }
    // What cannot be read is noted as question 0: its answer passes and teaches nothing.
    let (question, reason) = match read_name(room) {
        Some(question) => (question, Reason::QueryNoted),
        None => (0, Reason::QueryUnread),
    };
    let (resolver, own) = (packet.target, packet.source.port);
    let key = key(client, packet, resolver, own, header.id, question);
    let query = Query {
        asked_secs: now_secs(),
        pad: 0,
    };
    DNS_QUERIES.insert(key, query, 0).ok()?;
    Some(reason)
}

/// An answer of a trusted resolver. Over UDP, one that nobody asked for is dropped; over TCP the
/// connection vouches for who sent it, and what nobody asked for teaches nothing.
#[inline(always)]
pub(crate) fn answer(skb: Skb, packet: &Packet, client: &Client, meta: &Meta) -> Fate {
    let Some(at) = message(skb, packet) else {
        return Fate::Pass;
    };
    // Without a room nobody knows whether it was asked for; it teaches nothing.
    let read = scratch::with(|room| read(skb, packet, client, meta, at, room));
    let reason = read.unwrap_or(Reason::LearnFailed);
    if reason as u32 == Reason::AnswerUnasked as u32 {
        return unasked(packet);
    }
    count::reason(reason);
    Fate::Pass
}

/// The key of a question, as its answer has it as well.
#[inline(always)]
fn key(
    client: &Client,
    packet: &Packet,
    resolver: Peer,
    own: Port,
    id: u16,
    question: u64,
) -> QueryKey {
    QueryKey {
        client: client.cookie,
        resolver: resolver.addr,
        port: own,
        id,
        proto: u32::from(packet.proto),
        question,
    }
}

/// Whether an answer was asked for. One use: a second answer to the same question was not.
#[inline(always)]
fn take(key: &QueryKey) -> bool {
    // SAFETY: an element of the map, copied out at once.
    let asked = DNS_QUERIES.get_ptr(key).map(|query| unsafe { *query });
    let is_asked = asked.is_some_and(|query| is_young(&query));
    if is_asked {
        let _gone = DNS_QUERIES.remove(key);
    }
    is_asked
}

#[inline(always)]
fn is_young(query: &Query) -> bool {
    now_secs().wrapping_sub(query.asked_secs) <= QUERY_LIFE_SECS
}

#[inline(always)]
fn unasked(packet: &Packet) -> Fate {
    if packet.proto == TCP {
        return Fate::Pass;
    }
    count::reason(Reason::AnswerUnasked);
    Fate::Drop
}

/// Where the message begins. Over TCP its length comes first; one that comes in pieces, or
/// together with others, is not looked at beyond the first whole one.
#[inline(always)]
fn message(skb: Skb, packet: &Packet) -> Option<u32> {
    if packet.proto != TCP {
        return Some(packet.payload);
    }
    if packet.carried() < 2 + HEADER as u32 {
        return None;
    }
    let mut length = [0; 2];
    if !skb.load(packet.payload, &mut length) {
        return None;
    }
    let length = u32::from(u16::from_be_bytes(length));
    (length + 2 <= packet.carried()).then_some(packet.payload + 2)
}

#[inline(always)]
fn read(
    skb: Skb,
    packet: &Packet,
    client: &Client,
    meta: &Meta,
    at: u32,
    room: *mut Scratch,
) -> Reason {
    // SAFETY: a room of this program's own.
    let scratch = unsafe { &mut *room };
    let length = skb.copy(at, packet.end, HEADER as u64, &raw mut scratch.dns.bytes);
    let Some(header) = length.and_then(|length| scratch.dns.begin(length)) else {
        return Reason::AnswerUnasked;
    };
    let question = read_name(room).unwrap_or_default();
    let (resolver, own) = (packet.source, packet.target.port);
    let asked = header.answer && take(&key(client, packet, resolver, own, header.id, question));
    if !asked {
        return Reason::AnswerUnasked;
    }
    if question == 0 {
        return Reason::AnswerMalformed;
    }
    // SAFETY: as above.
    let scratch = unsafe { &mut *room };
    if header.code != 0 || header.answers == 0 {
        return Reason::AnswerEmpty;
    }
    scratch.policy = client.policy;
    scratch.host = host(scratch, client.policy);
    scratch.now_secs = now_secs();
    scratch.ttl_min_secs = meta.ttl_min_secs;
    scratch.ttl_max_secs = meta.ttl_max_secs;
    scratch.found = 0;
    scratch.stored = 0;
    let mut context = room;
    // SAFETY: the callback is of the kind that bpf_loop calls; its context is a stack slot.
    unsafe {
        bpf_loop(
            RECORD_STEPS,
            record_callback as *mut c_void,
            (&raw mut context).cast(),
            0,
        );
    }
    result(scratch)
}

#[inline(always)]
fn result(scratch: &Scratch) -> Reason {
    // SAFETY: a room of this program's own; volatile, because the callback wrote it.
    let (found, stored, host) = unsafe {
        (
            read_volatile(addr_of!(scratch.found)),
            read_volatile(addr_of!(scratch.stored)),
            read_volatile(addr_of!(scratch.host)),
        )
    };
    if stored > 0 {
        Reason::AnswerLearned
    } else if found == 0 {
        if scratch.dns.is_bad() {
            Reason::AnswerMalformed
        } else {
            Reason::AnswerEmpty
        }
    } else if host == 0 {
        Reason::AnswerNotListed
    } else {
        Reason::AddressNeverLearned
    }
}

/// The host of the registry that the question's name belongs to; 0 for none.
#[inline(always)]
fn host(scratch: &mut Scratch, policy: u32) -> u32 {
    let at = scratch.dns.name_key(policy);
    // SAFETY: a local. Volatile and masked: so the verifier knows that a whole key follows.
    let at = unsafe { read_volatile(&raw const at) } & 511;
    let key = scratch.dns.name_room().as_ptr().wrapping_add(at);
    // SAFETY: the map's own address; 260 bytes follow `key` in the room.
    let rule =
        unsafe { bpf_map_lookup_elem((&raw const EGRESS_NAMES).cast_mut().cast(), key.cast()) };
    let rule = rule.cast::<NameRule>();
    // SAFETY: null or a value of the map.
    unsafe { rule.as_ref() }.map_or(0, |rule| rule.host)
}

/// Reads the question's name, type and class: their hash.
#[inline(always)]
fn read_name(room: *mut Scratch) -> Option<u64> {
    let mut context = room;
    // SAFETY: the callback is of the kind that bpf_loop calls; its context is a stack slot.
    unsafe {
        bpf_loop(
            NAME_STEPS,
            name_callback as *mut c_void,
            (&raw mut context).cast(),
            0,
        );
        (*addr_of_mut!((*room).dns)).end_name()
    }
}

/// One byte of a name; 1 stops.
#[inline(never)]
extern "C" fn name_callback(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slot that `read_name` passes, which holds its room.
    let scratch = unsafe { &mut **context.cast::<*mut Scratch>() };
    i64::from(scratch.dns.name_step())
}

/// One label or record of the answer; 1 stops.
#[inline(never)]
extern "C" fn record_callback(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the stack slot that `read` passes, which holds its room.
    let scratch = unsafe { &mut **context.cast::<*mut Scratch>() };
    match scratch.dns.record_step() {
        Found::Nothing => 0,
        Found::End => 1,
        Found::Address(addr, ttl_secs) => {
            learn::address(scratch, addr, ttl_secs);
            0
        }
        Found::Last(addr, ttl_secs) => {
            learn::address(scratch, addr, ttl_secs);
            1
        }
    }
}
