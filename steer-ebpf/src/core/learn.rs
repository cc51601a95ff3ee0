//! Learning: an address of an answer is written down for the host whose name was asked for.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_map_lookup_elem, bpf_map_update_elem};
use steer_common::{
    addr::Addr,
    egress::{
        Grant, LearnedKey, NetKey, SeenName,
        learned::{GRANTS, place},
        name::SEEN_MAX,
        net::NET_NEVER_LEARNED,
    },
    logic::EgressMaps as _,
    parse::dns::is_never_learned,
    reason::Reason,
};

use super::{count, egress_maps::KernelEgress, scratch::Scratch};
use crate::maps::{EGRESS_LEARNED, NAMES_SEEN};

/// How often a grant is written again that another CPU's overwrote.
const TRIES: u32 = 3;

/// Learns one address, and notes its name.
#[inline(always)]
pub(crate) fn address(scratch: &mut Scratch, addr: Addr, ttl_secs: u32) {
    scratch.found += 1;
    let key = LearnedKey {
        policy: scratch.policy,
        addr,
    };
    see(scratch, &key);
    if scratch.host == 0 {
        return;
    }
    if is_never(&key) {
        count::reason(Reason::AddressNeverLearned);
        return;
    }
    let hold_secs = ttl_secs.max(scratch.ttl_min_secs).min(scratch.ttl_max_secs);
    let until_secs = scratch.now_secs.saturating_add(hold_secs);
    let mut tries = 0;
    while tries < TRIES {
        if grant(scratch, &key, until_secs) {
            scratch.stored += 1;
            return;
        }
        tries += 1;
    }
    count::reason(Reason::LearnFailed);
}

#[inline(always)]
fn is_never(key: &LearnedKey) -> bool {
    let net = NetKey {
        policy: key.policy,
        addr: key.addr,
    };
    is_never_learned(&key.addr)
        || KernelEgress
            .net(&net)
            .is_some_and(|net| net.has(NET_NEVER_LEARNED))
}

/// True once the address is known to stand for the host until then. A row is written whole and
/// never in place: its element may be given to another address meanwhile.
#[inline(always)]
fn grant(scratch: &mut Scratch, key: &LearnedKey, until_secs: u32) -> bool {
    let host = scratch.host;
    let row = &raw mut scratch.learned;
    copy_known(scratch, key);
    // SAFETY: the room's own row.
    let (index, lost) = place(unsafe { &*row }, host, scratch.now_secs);
    let index = index & (GRANTS - 1);
    // SAFETY: as above; the index is masked.
    let slot = unsafe { addr_of_mut!((*row).grants).cast::<Grant>().add(index) };
    // SAFETY: as above.
    let old = unsafe { read_volatile(slot) };
    if old.host() == host && old.until_secs() >= until_secs {
        return true;
    }
    if lost {
        count::reason(Reason::GrantLost);
    }
    // SAFETY: as above; the map's own address, a key on the stack, a whole value.
    unsafe {
        write_volatile(slot, Grant::new(host, until_secs));
        bpf_map_update_elem(
            (&raw const EGRESS_LEARNED).cast_mut().cast(),
            core::ptr::from_ref(key).cast_mut().cast(),
            row.cast(),
            0,
        ) == 0
            && holds(key, host)
    }
}

/// Whether the row of an address has a grant of the host: another CPU may have written its own.
#[inline(always)]
fn holds(key: &LearnedKey, host: u32) -> bool {
    let Some(row) = KernelEgress.learned(key) else {
        return false;
    };
    let mut index = 0;
    while index < GRANTS {
        // SAFETY: an element of the map.
        if unsafe { read_volatile(addr_of!(row.grants).cast::<Grant>().add(index)) }.host() == host
        {
            return true;
        }
        index += 1;
    }
    false
}

/// Copies what is known of an address to the room, or an empty row.
#[inline(always)]
fn copy_known(scratch: &mut Scratch, key: &LearnedKey) {
    let row = &raw mut scratch.learned;
    let known = KernelEgress.learned(key);
    let mut index = 0;
    // SAFETY: the room's own row, and an element of the map.
    unsafe {
        while index < GRANTS {
            let grant = known.map_or(Grant::default(), |known| {
                read_volatile(addr_of!(known.grants).cast::<Grant>().add(index))
            });
            write_volatile(
                addr_of_mut!((*row).grants).cast::<Grant>().add(index),
                grant,
            );
            index += 1;
        }
        let own = known.is_none_or(|known| read_volatile(addr_of!(known.key)) == *key);
        index = 0;
        while !own && index < GRANTS {
            let slot = addr_of_mut!((*row).grants).cast::<Grant>().add(index);
            write_volatile(slot, Grant::default());
            index += 1;
        }
        write_volatile(addr_of_mut!((*row).key), *key);
        write_volatile(addr_of_mut!((*row).pad), 0);
    }
}

/// Bytes of `SeenName` before the name.
const SEEN_HEAD: usize = size_of::<SeenName>() - SEEN_MAX;

/// Notes which name an address was given, unless that is known.
#[inline(always)]
fn see(scratch: &mut Scratch, key: &LearnedKey) {
    let map = (&raw const NAMES_SEEN).cast_mut().cast();
    let key = core::ptr::from_ref(key).cast_mut().cast();
    let question = scratch.dns.question();
    // SAFETY: the map's own address and a key on the stack.
    let known = unsafe { bpf_map_lookup_elem(map, key) }.cast::<SeenName>();
    // SAFETY: null or an element of the map.
    if unsafe { known.as_ref() }.is_some_and(|known| known.question == question) {
        return;
    }
    let at = scratch.dns.seen_name(SEEN_HEAD);
    // SAFETY: a local. Volatile and masked: so the verifier knows that a whole value follows.
    let at = unsafe { read_volatile(&raw const at) } & 511;
    let value = scratch.dns.name_room().as_ptr().wrapping_add(at);
    // SAFETY: as above; 264 bytes follow `value` in the room.
    unsafe { bpf_map_update_elem(map, key, value.cast_mut().cast(), 0) };
}
