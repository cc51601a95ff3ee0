//! Which interfaces of a namespace hang on this node, and their addresses. Pure.

use std::net::IpAddr;

/// One end of a veth or netkit pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pair {
    /// Its index, in its namespace.
    pub(super) index: u32,
    /// The index of the other end, in the other's namespace.
    pub(super) peer: u32,
    /// The other's namespace, by the number that this end's namespace has for it.
    pub(super) peer_namespace: Option<i32>,
    /// The index of the bridge, or the like, that it is a port of; 0 if it is none.
    pub(super) bridge: u32,
}

/// An address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct InterfaceAddress {
    pub(super) index: u32,
    pub(super) ip: IpAddr,
}

/// An address of a namespace, at an interface whose other end is on the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attached {
    pub(super) ip: IpAddr,
    /// The end on the node.
    pub(super) host: Pair,
}

/// The node's ends whose other end is in the namespace that the node numbers `namespace`. Indexes
/// prove nothing, whoever owns a namespace chooses them; this number is the node's own.
pub(super) fn into(node: &[Pair], namespace: i32) -> Vec<Pair> {
    node.iter()
        .filter(|pair| pair.peer_namespace == Some(namespace))
        .copied()
        .collect()
}

/// The addresses of a namespace at the other ends of `host`, in the kernel's order.
pub(super) fn attached(
    host: &[Pair],
    inside: &[Pair],
    addresses: &[InterfaceAddress],
) -> Vec<Attached> {
    addresses
        .iter()
        .filter_map(|address| {
            let inner = inside.iter().find(|pair| pair.index == address.index)?;
            let outer = host
                .iter()
                .find(|pair| pair.index == inner.peer && pair.peer == inner.index)?;
            Some(Attached {
                ip: address.ip,
                host: *outer,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(index: u32, peer: u32, peer_namespace: Option<i32>) -> Pair {
        Pair {
            index,
            peer,
            peer_namespace,
            bridge: 0,
        }
    }

    fn address(index: u32, ip: &str) -> InterfaceAddress {
        InterfaceAddress {
            index,
            ip: ip.parse().expect("is an address"),
        }
    }

    #[test]
    fn the_namespace_counts_not_the_index() {
        // Two pods whose ends have the same index, and a pair within the node.
        let node = [
            pair(10, 2, Some(0)),
            pair(11, 2, Some(1)),
            pair(12, 13, None),
            pair(13, 12, None),
        ];
        assert_eq!(into(&node, 1), [node[1]]);
        assert_eq!(into(&node, 2), []);
    }

    #[test]
    fn only_addresses_at_the_other_end_count() {
        let host = [pair(11, 2, Some(1))];
        let inside = [pair(2, 11, Some(0)), pair(3, 11, Some(5))];
        let addresses = [
            address(1, "10.10.0.13"),
            address(2, "10.10.0.12"),
            address(3, "10.10.0.14"),
            address(2, "fd00::12"),
        ];
        let found = attached(&host, &inside, &addresses);
        let ips: Vec<String> = found.iter().map(|found| found.ip.to_string()).collect();
        assert_eq!(ips, ["10.10.0.12", "fd00::12"]);
        assert!(found.iter().all(|found| found.host == host[0]));
    }
}
