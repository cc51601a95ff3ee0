//! The BPF object inside this binary: its maps and programs by name.

use aya::programs::TcAttachType;

/// The object, as `cargo xtask build-ebpf` made it.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("STEER_EBPF_OBJECT"));

/// Every map. All of them are pinned: one that is not would come back empty at the next start.
pub const MAPS: [&str; 37] = [
    "SERVICES",
    "ROUTES",
    "ENDPOINTS",
    "TICKETS",
    "SOURCES",
    "TCP_ORIGIN",
    "ORIGIN",
    "UDP_REPLY",
    "AFFINITY",
    "MEMBERS",
    "COUNTERS",
    "META",
    "POLICIES",
    "EGRESS_NETS",
    "EGRESS_HOSTS",
    "EGRESS_NAMES",
    "EGRESS_LEARNED",
    "EGRESS_RESOLVED",
    "NAMES_SEEN",
    "DNS_QUERIES",
    "RESOLVERS",
    "PORTS",
    "FLOWS",
    "HELLOS",
    "HELLO_TURN",
    "ALLOWED",
    "EVENTS",
    "OBSERVED",
    "OPENED",
    "CONNECTIONS",
    "EVENT_BUDGET",
    "SCRATCH",
    "TAPPED",
    "TAP",
    "COUNTED",
    "EDGE_FLOWS",
    "TCP_OPENED",
];

/// Maps whose size is no number of rows that one may choose: socket storage has none, a ring has
/// bytes, a single row is one.
pub(super) const FIXED_SIZE: [&str; 9] = [
    "SCRATCH",
    "ORIGIN",
    "OPENED",
    "CONNECTIONS",
    "EVENTS",
    "TAP",
    "META",
    "EVENT_BUDGET",
    "HELLO_TURN",
];

/// Every program, by its name in the object.
pub const PROGRAMS: [&str; 13] = [
    "steer_connect4",
    "steer_connect6",
    "steer_sendmsg4",
    "steer_sendmsg6",
    "steer_recvmsg4",
    "steer_recvmsg6",
    "steer_getpeername4",
    "steer_getpeername6",
    "steer_release",
    "steer_skb_egress",
    "steer_skb_ingress",
    "steer_sockops",
    TAP_PROGRAM,
];

/// The hooks at which it is decided where sockets connect or send, and the kernel's numbers of them
/// (`enum bpf_attach_type`).
pub(super) const SOCKET_HOOKS: [(&str, u32); 4] = [
    ("connect4", 10),
    ("connect6", 11),
    ("sendmsg4", 14),
    ("sendmsg6", 15),
];

/// Those that see packets: in force only while some policy judges, because each costs every packet.
pub(super) const PACKET_PROGRAMS: [&str; 2] = ["steer_skb_egress", "steer_skb_ingress"];

/// The one that sees connections open and close: in force only while somebody observes a pod.
pub(super) const OBSERVING_PROGRAM: &str = "steer_sockops";

/// The one that counts requests, and hands over what is to be copied: in force only while something is.
pub(super) const TAP_PROGRAM: &str = "steer_tap";

/// Those that are in force only while something needs them.
pub(super) fn may_rest(name: &str) -> bool {
    PACKET_PROGRAMS.contains(&name) || [OBSERVING_PROGRAM, TAP_PROGRAM].contains(&name)
}

/// The programs at the host's side of each pod's veth, in the order in which they are attached: what
/// goes into the pod, and then the guard of what comes out of it.
pub(super) const PORT_PROGRAMS: [(&str, TcAttachType); 2] = [
    ("steer_veth_in", TcAttachType::Egress),
    ("steer_veth", TcAttachType::Ingress),
];

/// Those at the node's uplinks, in the order in which they are attached: answers are led back before
/// anything is led to a pod.
pub(super) const UPLINK_PROGRAMS: [(&str, TcAttachType); 2] = [
    ("steer_edge_out", TcAttachType::Egress),
    ("steer_edge_in", TcAttachType::Ingress),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use object::{Object as _, ObjectSection as _, ObjectSymbol as _, read::elf::ElfFile64};

    use super::*;

    /// Names of the global symbols in sections that `fits`.
    fn symbols(fits: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let object = ElfFile64::<object::Endianness>::parse(OBJECT).unwrap();
        let section = |symbol: &object::read::elf::ElfSymbol64<'_, '_>| {
            let section = object.section_by_index(symbol.section_index()?).ok()?;
            Some(section.name().unwrap().to_owned())
        };
        object
            .symbols()
            .filter(|symbol| symbol.is_global() && section(symbol).is_some_and(|name| fits(&name)))
            .map(|symbol| symbol.name().unwrap().to_owned())
            .collect()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// A map that is not listed would not be pinned; a program that is not would not be attached.
    #[test]
    fn the_lists_name_everything_in_the_object() {
        let maps = |section: &str| section == "maps" || section == ".maps";
        assert_eq!(symbols(maps), names(&MAPS));
        let programs = |section: &str| {
            ["cgroup/", "cgroup_skb/", "sockops"]
                .iter()
                .any(|kind| section.starts_with(kind))
        };
        assert_eq!(symbols(programs), names(&PROGRAMS));
        let port = |section: &str| section == "classifier";
        let all = [PORT_PROGRAMS, UPLINK_PROGRAMS].concat();
        let all: Vec<&str> = all.into_iter().map(|(name, _)| name).collect();
        assert_eq!(symbols(port), names(&all));
    }
}
