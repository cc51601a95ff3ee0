//! The BPF object inside this binary: its maps and programs by name.

/// The object, as `cargo xtask build-ebpf` made it.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("STEER_EBPF_OBJECT"));

/// Every map. All of them are pinned: one that is not would come back empty at the next start.
pub const MAPS: [&str; 10] = [
    "SERVICES",
    "ROUTES",
    "ENDPOINTS",
    "TICKETS",
    "SOURCES",
    "ORIGIN",
    "UDP_REPLY",
    "AFFINITY",
    "MEMBERS",
    "COUNTERS",
];

/// Every program, by its name in the object.
pub const PROGRAMS: [&str; 8] = [
    "steer_connect4",
    "steer_connect6",
    "steer_sendmsg4",
    "steer_sendmsg6",
    "steer_recvmsg4",
    "steer_recvmsg6",
    "steer_getpeername4",
    "steer_getpeername6",
];
