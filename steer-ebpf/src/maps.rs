//! Every map, with its one writer, its capacity and what happens when it is full.
//!
//! Capacities here are those of a full-size node; the agent shrinks them at load time
//! (`steer agent --max-services`). Names and meaning are those of `steer_common`.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SkStorage},
    macros::btf_map,
};
use steer_common::{
    addr::{Addr, Peer},
    connection::{Connection, Opened, TcpOpened},
    counted::Counted,
    edge::{EdgeFlow, EdgeKey},
    egress::{
        AllowedSocket, Event, Flow, FlowKey, HostKey, HostRule, Learned, LearnedKey, Meta, NameKey,
        NameRule, NetKey, NetRule, Policy, PortRow, Query, QueryKey, Resolver, SeenName,
    },
    endpoint::Endpoint,
    flow::{Affinity, AffinityKey, Member, MemberKey, Origin, ReplyKey, TcpOrigin},
    index::{Bucket, buckets},
    limits,
    parse::hello::Hello,
    service::{Route, Source},
    tap::{TapHead, Tapped},
};

use crate::core::scratch::{ROOMS, Scratch};

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

/// Where the kernel keeps the cookie of a packet's network namespace: the offsets of the socket in a
/// packet, of the namespace in a socket, of the cookie in a namespace. The agent sets them when it loads
/// the object; zeroes where `bpf_get_netns_cookie` can be called instead.
#[unsafe(no_mangle)]
pub(crate) static NETNS_FIELDS: [u32; 3] = [0; 3];

/// Which bit of a socket says that it speaks IPv6 only, counted from its first byte; the agent sets it
/// when it loads the object. 0: that cannot be known, and no socket that dials IPv6 is handed over.
#[unsafe(no_mangle)]
pub(crate) static V6_ONLY_BIT: u32 = 0;

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

/// TCP socket (the low bits of the kernel's cookie) -> what it dialled. Writer: these programs; the row
/// is free again when the socket closes. Taken by another socket: kept in ORIGIN.
#[btf_map]
pub(crate) static TCP_ORIGIN: Array<TcpOrigin, { limits::SOCKETS_MAX as usize }> = Array::new();

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

/// Memory is taken when it is needed.
const NO_PREALLOC: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;

/// The node's words. One row. Writer: the agent.
#[btf_map]
pub(crate) static META: Array<Meta, 1> = Array::new();

/// Policy -> how strict. Writer: the agent. A row that was never written refuses.
#[btf_map]
pub(crate) static POLICIES: Array<Policy, { limits::POLICIES_MAX as usize }> = Array::new();

/// {policy, network} -> whose ports. Writer: the agent. Full: the agent refuses the configuration
/// beforehand, here and for the two maps that follow.
#[btf_map]
pub(crate) static EGRESS_NETS: LpmTrie<NetKey, NetRule, { limits::EGRESS_NETS_MAX as usize }> =
    LpmTrie::new();

/// {policy, host, port, protocol} -> what the first bytes must say. Writer: the agent.
#[btf_map]
pub(crate) static EGRESS_HOSTS: HashMap<
    HostKey,
    HostRule,
    { limits::EGRESS_HOSTS_MAX as usize },
    NO_PREALLOC,
> = HashMap::new();

/// {policy, name} -> host. Writer: the agent.
#[btf_map]
pub(crate) static EGRESS_NAMES: LpmTrie<NameKey, NameRule, { limits::EGRESS_NAMES_MAX as usize }> =
    LpmTrie::new();

/// {policy, address} -> hosts, from DNS answers. Writer: these programs. Full: the least recently
/// used address goes, and is refused until its name is resolved again.
#[btf_map]
pub(crate) static EGRESS_LEARNED: LruHashMap<
    LearnedKey,
    Learned,
    { limits::EGRESS_LEARNED_MAX as usize },
> = LruHashMap::new();

/// {policy, address} -> hosts, as the agent resolved them. Writer: the agent.
#[btf_map]
pub(crate) static EGRESS_RESOLVED: HashMap<
    LearnedKey,
    Learned,
    { limits::EGRESS_RESOLVED_MAX as usize },
    NO_PREALLOC,
> = HashMap::new();

/// {policy, address} -> the last name that was answered with it. Writer: these programs. Full: the
/// least recently used goes, and listings show an address without a name.
#[btf_map]
pub(crate) static NAMES_SEEN: LruHashMap<
    LearnedKey,
    SeenName,
    { limits::NAMES_SEEN_MAX as usize },
> = LruHashMap::new();

/// Questions that are not answered yet. Writer: these programs. Full: the oldest goes, and its
/// answer is dropped as one nobody asked for.
#[btf_map]
pub(crate) static DNS_QUERIES: LruHashMap<QueryKey, Query, { limits::DNS_QUERIES_MAX as usize }> =
    LruHashMap::new();

/// Who may teach names. Writer: the agent.
#[btf_map]
pub(crate) static RESOLVERS: HashMap<Addr, Resolver, { limits::RESOLVERS_MAX as usize }> =
    HashMap::new();

/// Interface index -> which pod is behind it. Writer: the agent.
#[btf_map]
pub(crate) static PORTS: HashMap<u32, PortRow, { limits::SOURCES_MAX as usize }> = HashMap::new();

/// Connection -> what was decided. Writers: these programs; the agent, once, when the guard is
/// switched on. Full: the least recently used flow is judged again.
#[btf_map]
pub(crate) static FLOWS: LruHashMap<FlowKey, Flow, { limits::FLOWS_MAX as usize }> =
    LruHashMap::new();

/// The first bytes of connections, in turn. Writer: these programs. Full: the oldest goes; what it
/// sends of its first bytes again is dropped, and if they were not all there, it is refused.
#[btf_map]
pub(crate) static HELLOS: Array<Hello, { limits::HELLOS_MAX as usize }> = Array::new();

/// Whose turn it is. One row. Writer: these programs.
#[btf_map]
pub(crate) static HELLO_TURN: Array<u64, 1> = Array::new();

/// Socket (the low bits of the kernel's cookie) -> whom connect let it reach. Writer: these programs;
/// the row may be taken when the socket is closed. Taken by another socket: its packets are judged
/// one by one.
#[btf_map]
pub(crate) static ALLOWED: Array<AllowedSocket, { limits::SOCKETS_MAX as usize }> = Array::new();

/// What is reported to the agent. Full: counted, never waited for.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, { limits::EVENTS_BYTES as usize }> = RingBuf::new();

/// Network-namespace cookie -> which of its connections are reported (`OBSERVE_*`). Writer: the agent.
#[btf_map]
pub(crate) static OBSERVED: HashMap<u64, u32, { limits::SOURCES_MAX as usize }, NO_PREALLOC> =
    HashMap::new();

/// TCP socket of an observed pod (the low bits of the kernel's cookie) -> what was noted when it was
/// connected. Writer: these programs; the row is free again when the connection closes. The agent reads
/// what stays open, and empties all rows before the program is attached.
#[btf_map]
pub(crate) static TCP_OPENED: Array<TcpOpened, { limits::SOCKETS_MAX as usize }> = Array::new();

/// Socket whose row another one has -> what was noted when it was connected. Writer: these programs. Lives as long as the socket.
#[btf_map]
pub(crate) static OPENED: SkStorage<Opened> = SkStorage::new();

/// What became of connections, for the agent. Full: counted, never waited for.
#[btf_map]
pub(crate) static CONNECTIONS: RingBuf<Connection, { limits::CONNECTIONS_BYTES as usize }> =
    RingBuf::new();

/// Split -> its requests are copied. Writer: the agent. Full: the agent says which are not.
#[btf_map]
pub(crate) static TAPPED: HashMap<u32, Tapped, { limits::TAPPED_MAX as usize }, NO_PREALLOC> =
    HashMap::new();

/// What clients of these send. Full: counted, never waited for, and not copied.
#[btf_map]
pub(crate) static TAP: RingBuf<TapHead, { limits::TAP_BYTES as usize }> = RingBuf::new();

/// Split -> requests that its clients sent. Writers: the agent adds and removes rows, these programs count.
/// Full: the agent says which are not counted.
#[btf_map]
pub(crate) static COUNTED: HashMap<u32, Counted, { limits::COUNTED_MAX as usize }, NO_PREALLOC> =
    HashMap::new();

/// How many events this CPU reported in which second. Writer: these programs.
#[btf_map]
pub(crate) static EVENT_BUDGET: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Rooms for messages. Writer: these programs. All taken: a question is not noted, an answer
/// teaches nothing.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, ROOMS> = PerCpuArray::new();

/// Connections from outside that are steered at ports of the node, two rows each. Writer: these programs; the
/// agent takes away what is over. Full: the least recently used row goes, and its connection breaks.
#[btf_map]
pub(crate) static EDGE_FLOWS: LruHashMap<EdgeKey, EdgeFlow, { limits::EDGE_FLOWS_MAX as usize }> =
    LruHashMap::new();
