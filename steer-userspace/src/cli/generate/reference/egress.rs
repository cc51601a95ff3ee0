//! The maps of the egress guard, for the page of limits.

use steer_common::{
    Addr,
    egress::{
        AllowedSocket, Flow, FlowKey, HostKey, HostRule, Learned, LearnedKey, NameKey, NameRule,
        NetKey, NetRule, Policy, PortRow, Query, QueryKey, Resolver, SeenName,
    },
    limits as bounds,
    parse::hello::Hello,
};

use super::Sized;

/// A trie's key begins with the length of its prefix.
const PREFIX: usize = size_of::<u32>();

pub(super) fn maps() -> impl Iterator<Item = Sized> {
    written().into_iter().chain(learned())
}

/// Those that the agent writes.
fn written() -> [Sized; 7] {
    let sized = |name, rows, bytes, what| Sized {
        name,
        rows,
        bytes,
        what,
        full: "the change is refused",
    };
    let grant = size_of::<LearnedKey>() + size_of::<Learned>();
    [
        sized(
            "POLICIES",
            bounds::POLICIES_MAX,
            size_of::<Policy>(),
            "egress policies of mesh, namespaces and workloads",
        ),
        sized(
            "EGRESS_NETS",
            bounds::EGRESS_NETS_MAX,
            PREFIX + size_of::<NetKey>() + size_of::<NetRule>(),
            "networks and addresses of the registry, times policies; takes memory as it fills",
        ),
        sized(
            "EGRESS_HOSTS",
            bounds::EGRESS_HOSTS_MAX,
            size_of::<HostKey>() + size_of::<HostRule>(),
            "hosts times ports, times policies; takes memory as it fills",
        ),
        sized(
            "EGRESS_NAMES",
            bounds::EGRESS_NAMES_MAX,
            PREFIX + size_of::<NameKey>() + size_of::<NameRule>(),
            "names and wildcards, times policies; takes memory as it fills",
        ),
        sized(
            "EGRESS_RESOLVED",
            bounds::EGRESS_RESOLVED_MAX,
            grant,
            "addresses that the agent resolved; takes memory as it fills",
        ),
        sized(
            "RESOLVERS",
            bounds::RESOLVERS_MAX,
            size_of::<Addr>() + size_of::<Resolver>(),
            "addresses of trusted resolvers",
        ),
        sized(
            "PORTS",
            bounds::SOURCES_MAX,
            size_of::<u32>() + size_of::<PortRow>(),
            "interfaces of the pods of this node",
        ),
    ]
}

/// Those that the kernel writes.
fn learned() -> [Sized; 6] {
    let sized = |name, rows, bytes, what| Sized {
        name,
        rows,
        bytes,
        what,
        full: "the least recently used goes",
    };
    [
        sized(
            "EGRESS_LEARNED",
            bounds::EGRESS_LEARNED_MAX,
            size_of::<LearnedKey>() + size_of::<Learned>(),
            "addresses of allowed names, from DNS answers; one that went is refused until it is \
             resolved again",
        ),
        sized(
            "NAMES_SEEN",
            bounds::NAMES_SEEN_MAX,
            size_of::<LearnedKey>() + size_of::<SeenName>(),
            "the last name that was answered with an address",
        ),
        sized(
            "DNS_QUERIES",
            bounds::DNS_QUERIES_MAX,
            size_of::<QueryKey>() + size_of::<Query>(),
            "questions that are not answered yet",
        ),
        sized(
            "FLOWS",
            bounds::FLOWS_MAX,
            size_of::<FlowKey>() + size_of::<Flow>(),
            "connections of pods; one that went is judged again",
        ),
        Sized {
            full: "packets of the other sockets are judged one by one",
            ..sized(
                "ALLOWED",
                bounds::SOCKETS_MAX,
                size_of::<AllowedSocket>(),
                "sockets, and whom they were let reach",
            )
        },
        sized(
            "HELLOS",
            bounds::HELLOS_MAX,
            size_of::<Hello>(),
            "connections whose first bytes are looked at",
        ),
    ]
}
