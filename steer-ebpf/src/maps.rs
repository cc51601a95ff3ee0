//! Every map, with its one writer, its capacity and what happens when it is full.
//!
//! Capacities here are those of a full-size node; the agent shrinks them at load time
//! (`steer agent --max-services`). Names and meaning are those of `steer_common`.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, SkStorage},
    macros::btf_map,
};
use steer_common::{
    addr::Peer,
    endpoint::Endpoint,
    flow::{Affinity, AffinityKey, Member, MemberKey, Origin, ReplyKey},
    index::{Bucket, buckets},
    limits,
    service::{Route, Source},
};

const KEYS: u32 = limits::keys(limits::SERVICES_MAX);
const ROWS: usize = limits::rows(limits::SERVICES_MAX) as usize;
const ENDPOINT_ROWS: usize = limits::endpoints(limits::SERVICES_MAX) as usize;
const COUNTER_ROWS: usize = limits::counters(limits::SERVICES_MAX) as usize;

/// {class, address, port, protocol} -> row of ROUTES, as buckets of slots (`steer_common::index`).
/// Writer: the agent, through shared memory; the only mutable pointer, publishing a route is one
/// 4-byte store. Full: the agent refuses the configuration beforehand.
#[btf_map]
pub(crate) static SERVICES: Array<Bucket, { buckets(KEYS) as usize }, MMAPABLE> = Array::new();

/// How many buckets SERVICES has, less one; the agent sets it when it loads the object.
#[unsafe(no_mangle)]
pub(crate) static BUCKET_MASK: u32 = buckets(KEYS) - 1;

/// Row -> route. Writer: the agent; immutable once published, re-used after a grace period.
#[btf_map]
pub(crate) static ROUTES: Array<Route, ROWS> = Array::new();

/// Index -> endpoint. Writer: the agent; immutable once a route points to it.
#[btf_map]
pub(crate) static ENDPOINTS: Array<Endpoint, ENDPOINT_ROWS> = Array::new();

/// Split -> next ticket. Writer: these programs; the agent zeroes a row before its first use.
#[btf_map]
pub(crate) static TICKETS: Array<u64, ROWS> = Array::new();

/// Network-namespace cookie -> who that is. Writer: the agent. Full: class 0.
#[btf_map]
pub(crate) static SOURCES: HashMap<u64, Source, { limits::SOURCES_MAX as usize }> = HashMap::new();

/// Socket -> what it dialled. Writer: these programs. Lives as long as the socket.
#[btf_map]
pub(crate) static ORIGIN: SkStorage<Origin> = SkStorage::new();

/// {socket, endpoint} -> what an unconnected UDP socket dialled. Writer: these programs.
/// Full: the least recently used entry goes, and its replies show the endpoint.
#[btf_map]
pub(crate) static UDP_REPLY: LruHashMap<ReplyKey, Peer, { limits::UDP_REPLIES_MAX as usize }> =
    LruHashMap::new();

/// {client, split} -> what it was given. Writer: these programs. Full: the least recently used
/// client draws anew.
#[btf_map]
pub(crate) static AFFINITY: LruHashMap<AffinityKey, Affinity, { limits::AFFINITY_MAX as usize }> =
    LruHashMap::new();

/// {split, endpoint} -> where it stands in the route, for splits with affinity: memory of an
/// endpoint that left, or whose destination weighs nothing, does not count. Writer: the agent.
#[btf_map]
pub(crate) static MEMBERS: HashMap<MemberKey, Member, ENDPOINT_ROWS, NO_PREALLOC> = HashMap::new();

/// Reason, and destination of a route -> count. Writer: these programs.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, COUNTER_ROWS> = PerCpuArray::new();

/// The agent maps SERVICES into its memory: slots are overwritten by atomic stores.
const MMAPABLE: usize = aya_ebpf::bindings::BPF_F_MMAPABLE as usize;

/// Few services have affinity: memory is taken when it is needed.
const NO_PREALLOC: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;
