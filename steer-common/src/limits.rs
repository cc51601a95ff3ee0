//! Every capacity and bound, each with its reason and what it costs.
//!
//! Going over one is a finding before any map is touched, never a truncation.

/// Destinations of one route (a VirtualService rule's `route` list). 16 bytes of each row each;
/// the kernel walks them in a loop of constant length.
pub const DESTINATIONS_MAX: usize = 16;

/// Service ports (rows of SERVICES for class 0) that fit by default: 100,000.
pub const SERVICES_MAX: u32 = 100_000;

/// Rows of SERVICES beyond class 0, for clients whose rules differ: a quarter of the services.
pub const CLASS_ROWS_PER_SERVICE_INVERSE: u32 = 4;

/// Spare rows of an immutable table, as a divisor: a change needs a free row before the old one
/// can be taken back, so each table holds one eighth more than may be in use.
pub const SPARE_INVERSE: u32 = 8;

/// Endpoints per service port that fit on average. 24 bytes each.
pub const ENDPOINTS_PER_SERVICE: u32 = 4;

/// Destinations per route that fit on average: counters are handed out densely. 8 bytes per CPU
/// each, and creating the map takes longest of all maps.
pub const COUNTERS_PER_SERVICE: u32 = 2;

/// Clients with `sessionAffinity` that are remembered. About 100 bytes each.
pub const AFFINITY_MAX: u32 = 65_536;

/// Rows for what is known of open sockets, a power of two: what a TCP socket dialled (64 bytes each; a
/// socket whose row is taken keeps it beside itself), and whom it was let reach (40 bytes each).
pub const SOCKETS_MAX: u32 = 16_384;

/// Unconnected UDP sockets whose replies are restored. About 90 bytes each.
pub const UDP_REPLIES_MAX: u32 = 65_536;

/// Network namespaces (pods) of one node. The kubelet's default is 110 pods, large nodes run 250.
pub const SOURCES_MAX: u32 = 4_096;

/// Counters that belong to reasons; the counters of routes start behind them.
pub const REASON_COUNTERS: u32 = 128;

/// The largest sum of weights after division by their greatest common divisor: it fits 32 bits,
/// so that residue times stride fits 64.
pub const WEIGHT_SUM_MAX: u64 = u32::MAX as u64;

/// Keys of SERVICES that go with a number of service ports.
pub const fn keys(services: u32) -> u32 {
    services + services / CLASS_ROWS_PER_SERVICE_INVERSE + 1
}

/// Rows of ROUTES and of TICKETS.
pub const fn rows(services: u32) -> u32 {
    with_spare(keys(services))
}

/// Rows of ENDPOINTS.
pub const fn endpoints(services: u32) -> u32 {
    with_spare(services * ENDPOINTS_PER_SERVICE)
}

/// Rows of COUNTERS.
pub const fn counters(services: u32) -> u32 {
    with_spare(services * COUNTERS_PER_SERVICE + REASON_COUNTERS)
}

/// An eighth of a small table would be nothing.
const fn with_spare(rows: u32) -> u32 {
    rows + rows / SPARE_INVERSE + 16
}

/// Egress policies of one node: one for each outcome of mesh, namespace and workload. 16 bytes
/// each; a policy's number takes 16 bits of a name's key.
pub const POLICIES_MAX: u32 = 1_024;

/// Networks and addresses of the registry, times policies. About 80 bytes each, taken when needed.
pub const EGRESS_NETS_MAX: u32 = 262_144;

/// Hosts times ports, times policies. About 80 bytes each, taken when needed.
pub const EGRESS_HOSTS_MAX: u32 = 262_144;

/// Names and wildcards of the registry, times policies. About 330 bytes each, taken when needed.
pub const EGRESS_NAMES_MAX: u32 = 65_536;

/// Addresses learned from answers, times policies. About 160 bytes each.
pub const EGRESS_LEARNED_MAX: u32 = 65_536;

/// Addresses that the agent resolved. About 160 bytes each, taken when needed.
pub const EGRESS_RESOLVED_MAX: u32 = 65_536;

/// Addresses whose last name is kept for listings. About 330 bytes each.
pub const NAMES_SEEN_MAX: u32 = 16_384;

/// Questions that are not answered yet. About 100 bytes each.
pub const DNS_QUERIES_MAX: u32 = 16_384;

/// Trusted resolvers.
pub const RESOLVERS_MAX: u32 = 1_024;

/// Connections whose packets are known. About 120 bytes each.
pub const FLOWS_MAX: u32 = 65_536;

/// Connections whose first bytes are kept: the latest ones. 9 KiB each.
pub const HELLOS_MAX: u32 = 512;

/// Bytes of the ring of connections: 8,000 of them, which the agent takes ten times a second.
pub const CONNECTIONS_BYTES: u32 = 1_048_576;

/// Bytes of the ring of events: 13,000 of them.
pub const EVENTS_BYTES: u32 = 2 * 1_048_576;

/// Routes whose requests are copied without a proxy.
pub const TAPPED_MAX: u32 = 4_096;

/// Bytes of the ring of what they carry: some milliseconds of 1 GB/s.
pub const TAP_BYTES: u32 = 8 * 1_048_576;

/// Routes whose requests are counted, to tell whether their shares are as the weights say. About 200
/// bytes each, taken when needed.
pub const COUNTED_MAX: u32 = 4_096;

/// Entries of connections from outside that are steered at ports of the node, two for each connection.
/// About 130 bytes each.
pub const EDGE_FLOWS_MAX: u32 = 65_536;
