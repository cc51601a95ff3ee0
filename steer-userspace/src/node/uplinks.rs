//! Where clients outside come in: the node's own addresses, and the interfaces at which their packets are
//! met. Pods' veths are none, nor is the bridge that they are ports of: between its ports, answers pass
//! by what stands at the bridge.

use std::{collections::BTreeSet, net::IpAddr};

use super::{NodeError, discover::Scan, netlink::Netlink, pairs::InterfaceAddress};

/// An interface of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interface {
    pub(super) index: u32,
    /// Its frames have Ethernet headers, and it is up.
    pub(super) carries_frames: bool,
    /// Nothing ever comes in by it: it only holds addresses, as kube-proxy's does.
    pub(super) is_dummy: bool,
    /// The bridge, bond or the like that it is a port of; 0 if it is none.
    pub(super) controller: u32,
}

/// Where clients outside come in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uplinks {
    /// The node's addresses of global scope.
    pub addresses: BTreeSet<IpAddr>,
    /// The interfaces, by their indexes.
    pub interfaces: BTreeSet<u32>,
}

/// Looks for them, in the namespace in which it was made.
pub struct UplinkScanner(Netlink);

impl UplinkScanner {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn new() -> Result<Self, NodeError> {
        let opened = Netlink::open().map_err(NodeError::netlink("opening a socket"));
        opened.map(Self)
    }

    /// Those of a node with these pods.
    pub fn look(&self, pods: &Scan) -> Result<Uplinks, NodeError> {
        let interfaces = self.0.interfaces();
        let interfaces = interfaces.map_err(NodeError::netlink("listing interfaces"))?;
        let addresses = self.0.addresses();
        let addresses = addresses.map_err(NodeError::netlink("listing addresses"))?;
        let of_pods = pods.workloads.values();
        let of_pods = of_pods.flat_map(|found| [found.host_index, found.bridge]);
        Ok(uplinks(&interfaces, &addresses, &of_pods.collect()))
    }
}

fn uplinks(
    interfaces: &[Interface],
    addresses: &[InterfaceAddress],
    of_pods: &BTreeSet<u32>,
) -> Uplinks {
    let dummies: BTreeSet<u32> = interfaces
        .iter()
        .filter(|found| found.is_dummy)
        .map(|found| found.index)
        .collect();
    let carries = |found: &&Interface| {
        found.carries_frames
            && !found.is_dummy
            && found.controller == 0
            && !of_pods.contains(&found.index)
    };
    let own = addresses
        .iter()
        .filter(|found| !dummies.contains(&found.index));
    Uplinks {
        addresses: own.map(|found| found.ip).collect(),
        interfaces: interfaces
            .iter()
            .filter(carries)
            .map(|found| found.index)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_pods_or_nowhere_is_no_uplink() {
        let interface = |index, carries_frames, is_dummy, controller| Interface {
            index,
            carries_frames,
            is_dummy,
            controller,
        };
        let interfaces = [
            // lo, the uplink, a port of a bond, kube-ipvs0, the pods' bridge, two pods' veths.
            interface(1, false, false, 0),
            interface(2, true, false, 0),
            interface(3, true, false, 9),
            interface(4, true, true, 0),
            interface(5, true, false, 0),
            interface(6, true, false, 5),
            interface(7, true, false, 0),
        ];
        let address = |index, ip: &str| InterfaceAddress {
            index,
            ip: ip.parse().unwrap(),
        };
        let addresses = [
            address(1, "192.0.2.1"),
            address(2, "2001:db8::1"),
            address(4, "10.96.0.1"),
            address(5, "10.244.0.1"),
        ];
        let found = uplinks(&interfaces, &addresses, &BTreeSet::from([5, 6, 7, 0]));
        assert_eq!(found.interfaces, BTreeSet::from([2]));
        let ips: BTreeSet<String> = found.addresses.iter().map(ToString::to_string).collect();
        let expected = ["10.244.0.1", "192.0.2.1", "2001:db8::1"];
        assert_eq!(ips, expected.map(str::to_owned).into());
    }
}
