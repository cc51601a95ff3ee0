//! Which namespace is which pod: by address, the first owner wins. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::pairs::Attached;
use crate::desired::model::PodRef;

/// The addresses that a namespace has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// The namespace.
    pub(super) cookie: u64,
    /// In which scan it was first seen with an address.
    pub(super) seen: u64,
    /// Its addresses, in the kernel's order.
    pub(super) addresses: &'a [Attached],
}

/// What a claim came to.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Owners {
    /// The namespace of each pod, and the address that matched.
    pub(super) pods: BTreeMap<PodRef, (u64, Attached)>,
    /// Claims that were not granted.
    pub(super) disputes: BTreeSet<Dispute>,
}

/// A namespace has an address of a pod that it is not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Dispute {
    /// Whose address.
    pub(super) pod: PodRef,
    /// Which.
    pub(super) ip: IpAddr,
    /// The namespace that has it too.
    pub(super) cookie: u64,
    /// The interface on the node through which it has it.
    pub(super) host_index: u32,
    /// The pod that namespace is, if it is one.
    pub(super) claimant: Option<PodRef>,
}

/// The addresses of pods that more than one namespace could be: the node's routes may decide.
pub(super) fn contested(claims: &[Claim<'_>], pods: &BTreeMap<IpAddr, PodRef>) -> BTreeSet<IpAddr> {
    let mut claimants: BTreeMap<&PodRef, (BTreeSet<u64>, BTreeSet<IpAddr>)> = BTreeMap::new();
    for claim in claims {
        for attached in claim.addresses {
            if let Some(pod) = pods.get(&attached.ip) {
                let (cookies, addresses) = claimants.entry(pod).or_default();
                cookies.insert(claim.cookie);
                addresses.insert(attached.ip);
            }
        }
    }
    claimants
        .into_values()
        .filter(|(cookies, _)| cookies.len() > 1)
        .flat_map(|(_, addresses)| addresses)
        .collect()
}

/// Matches namespaces with pods, one to one. `routes` are the interfaces of the node to which it
/// sends what is for a contested address: who receives it is its owner. Where that does not tell
/// (a bridge), the namespace that was seen first is, then the lower cookie (not always
/// the older: each CPU hands them out in batches). A namespace that could be several pods is the
/// one of its first address.
pub(super) fn owners(
    claims: &[Claim<'_>],
    pods: &BTreeMap<IpAddr, PodRef>,
    routes: &BTreeMap<IpAddr, u32>,
) -> Owners {
    let mut matches: Vec<_> = claims
        .iter()
        .flat_map(|claim| {
            claim
                .addresses
                .iter()
                .map(move |attached| (claim, attached))
        })
        .filter_map(|(claim, attached)| Some((pods.get(&attached.ip)?, claim, attached)))
        .collect();
    // Stable: the addresses of a namespace keep their order.
    matches.sort_by_key(|(_, claim, attached)| {
        let is_routed_here = routes.get(&attached.ip) == Some(&attached.host.index);
        (!is_routed_here, claim.seen, claim.cookie)
    });
    let mut owners = Owners::default();
    let mut by_cookie: BTreeMap<u64, &PodRef> = BTreeMap::new();
    for &(pod, claim, attached) in &matches {
        if !owners.pods.contains_key(pod) && !by_cookie.contains_key(&claim.cookie) {
            owners.pods.insert(pod.clone(), (claim.cookie, *attached));
            by_cookie.insert(claim.cookie, pod);
        }
    }
    for (pod, claim, attached) in matches {
        let claimant = by_cookie.get(&claim.cookie).copied();
        if claimant != Some(pod) {
            owners.disputes.insert(Dispute {
                pod: pod.clone(),
                ip: attached.ip,
                cookie: claim.cookie,
                host_index: attached.host.index,
                claimant: claimant.cloned(),
            });
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::pairs::Pair;

    fn at(host_index: u32, ip: &str) -> Attached {
        let host = Pair {
            index: host_index,
            peer: 2,
            peer_namespace: Some(0),
            bridge: 0,
        };
        Attached {
            ip: ip.parse().expect("is an address"),
            host,
        }
    }

    fn pod(name: &str) -> PodRef {
        PodRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn pods() -> BTreeMap<IpAddr, PodRef> {
        [
            ("10.10.0.12", "v1"),
            ("fd00::12", "v1"),
            ("10.10.0.13", "v2"),
        ]
        .map(|(ip, name)| (ip.parse().expect("is an address"), pod(name)))
        .into()
    }

    fn claim(cookie: u64, seen: u64, addresses: &[Attached]) -> Claim<'_> {
        Claim {
            cookie,
            seen,
            addresses,
        }
    }

    fn cookies(owners: &Owners) -> Vec<(&str, u64)> {
        owners
            .pods
            .iter()
            .map(|(pod, owner)| (pod.name.as_str(), owner.0))
            .collect()
    }

    #[test]
    fn both_families_are_one_pod() {
        let v1 = [at(5, "10.10.0.12"), at(5, "fd00::12")];
        let v2 = [at(6, "10.10.0.13")];
        let none = [at(7, "10.10.0.99")];
        let claims = [claim(3, 1, &v1), claim(4, 1, &v2), claim(5, 1, &none)];
        let found = owners(&claims, &pods(), &BTreeMap::new());
        assert_eq!(cookies(&found), [("v1", 3), ("v2", 4)]);
        assert_eq!(found.pods[&pod("v1")].1, v1[0]);
        assert!(found.disputes.is_empty());
    }

    #[test]
    fn the_first_that_was_seen_keeps_the_address() {
        let (early, late) = ([at(5, "10.10.0.12")], [at(6, "10.10.0.12")]);
        // The later one has the lower cookie, and stands first.
        let found = owners(
            &[claim(1, 9, &late), claim(2, 8, &early)],
            &pods(),
            &BTreeMap::new(),
        );
        assert_eq!(cookies(&found), [("v1", 2)]);
        let disputes: Vec<u64> = found.disputes.iter().map(|found| found.cookie).collect();
        assert_eq!(disputes, [1]);
        // Of the same scan, the lower cookie.
        let found = owners(
            &[claim(7, 8, &late), claim(2, 8, &early)],
            &pods(),
            &BTreeMap::new(),
        );
        assert_eq!(cookies(&found), [("v1", 2)]);
    }

    #[test]
    fn a_pod_cannot_be_two() {
        let both = [at(6, "10.10.0.13"), at(6, "10.10.0.12")];
        let real = [at(5, "10.10.0.12")];
        let found = owners(
            &[claim(1, 1, &both), claim(2, 2, &real)],
            &pods(),
            &BTreeMap::new(),
        );
        assert_eq!(cookies(&found), [("v1", 2), ("v2", 1)]);
        let dispute = found.disputes.first().expect("one claim is not granted");
        assert_eq!(
            (&dispute.pod, dispute.claimant.as_ref(), dispute.host_index),
            (&pod("v1"), Some(&pod("v2")), 6)
        );
        assert_eq!(found.disputes.len(), 1);
    }

    #[test]
    fn half_of_a_pod_cannot_be_taken() {
        let real = [at(5, "10.10.0.12")];
        let other_family = [at(6, "fd00::12")];
        let found = owners(
            &[claim(2, 1, &other_family), claim(1, 1, &real)],
            &pods(),
            &BTreeMap::new(),
        );
        assert_eq!(cookies(&found), [("v1", 1)]);
        assert_eq!(found.disputes.len(), 1);
    }

    #[test]
    fn the_route_decides_where_there_is_one() {
        // A pod that took the address of another, and gave up its own, before the other came.
        let thief = [at(5, "10.10.0.12")];
        let real = [at(6, "10.10.0.12"), at(6, "fd00::12")];
        let other = [at(7, "10.10.0.13")];
        let claims = [claim(1, 1, &thief), claim(2, 2, &real), claim(3, 2, &other)];
        let pods = pods();
        let contested = contested(&claims, &pods);
        let ips: Vec<String> = contested.iter().map(IpAddr::to_string).collect();
        assert_eq!(ips, ["10.10.0.12", "fd00::12"]);
        let all_to = |index| contested.iter().map(|&ip| (ip, index)).collect();
        let routed = owners(&claims, &pods, &all_to(6));
        assert_eq!(cookies(&routed), [("v1", 2), ("v2", 3)]);
        assert_eq!(routed.disputes.len(), 1);
        // To a bridge: it tells nothing.
        let bridged = owners(&claims, &pods, &all_to(99));
        assert_eq!(cookies(&bridged), [("v1", 1), ("v2", 3)]);
        assert_eq!(bridged.disputes.len(), 2);
    }

    #[test]
    fn who_loses_an_address_may_be_the_pod_of_another() {
        let both = [at(5, "10.10.0.12"), at(5, "10.10.0.13")];
        let real = [at(6, "10.10.0.12")];
        let claims = [claim(1, 1, &both), claim(2, 2, &real)];
        let routes = [("10.10.0.12".parse().expect("is an address"), 6)].into();
        let found = owners(&claims, &pods(), &routes);
        assert_eq!(cookies(&found), [("v1", 2), ("v2", 1)]);
        assert_eq!(found.disputes.len(), 1);
    }
}
