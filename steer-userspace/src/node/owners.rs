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

/// Matches namespaces with pods. A namespace is the pod of its first address that is one's; among
/// several that would be the same pod, the one that was seen first is, then the older cookie.
pub(super) fn owners(claims: &[Claim<'_>], pods: &BTreeMap<IpAddr, PodRef>) -> Owners {
    let mut by_age: Vec<&Claim<'_>> = claims.iter().collect();
    by_age.sort_by_key(|claim| (claim.seen, claim.cookie));
    let mut owners = Owners::default();
    for claim in &by_age {
        let first = claim
            .addresses
            .iter()
            .find_map(|attached| Some((pods.get(&attached.ip)?, *attached)));
        if let Some((pod, attached)) = first {
            owners
                .pods
                .entry(pod.clone())
                .or_insert((claim.cookie, attached));
        }
    }
    let by_cookie: BTreeMap<u64, PodRef> = owners
        .pods
        .iter()
        .map(|(pod, owner)| (owner.0, pod.clone()))
        .collect();
    for claim in by_age {
        let mine = by_cookie.get(&claim.cookie);
        for attached in claim.addresses {
            if let Some(pod) = pods.get(&attached.ip).filter(|&pod| Some(pod) != mine) {
                owners.disputes.insert(Dispute {
                    pod: pod.clone(),
                    ip: attached.ip,
                    cookie: claim.cookie,
                    host_index: attached.host.index,
                    claimant: mine.cloned(),
                });
            }
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
        let found = owners(&claims, &pods());
        assert_eq!(cookies(&found), [("v1", 3), ("v2", 4)]);
        assert_eq!(found.pods[&pod("v1")].1, v1[0]);
        assert!(found.disputes.is_empty());
    }

    #[test]
    fn the_first_that_was_seen_keeps_the_address() {
        let (early, late) = ([at(5, "10.10.0.12")], [at(6, "10.10.0.12")]);
        // The later one has the lower cookie, and stands first.
        let found = owners(&[claim(1, 9, &late), claim(2, 8, &early)], &pods());
        assert_eq!(cookies(&found), [("v1", 2)]);
        let disputes: Vec<u64> = found.disputes.iter().map(|found| found.cookie).collect();
        assert_eq!(disputes, [1]);
        // Of the same scan, the older cookie.
        let found = owners(&[claim(7, 8, &late), claim(2, 8, &early)], &pods());
        assert_eq!(cookies(&found), [("v1", 2)]);
    }

    #[test]
    fn a_pod_cannot_be_two() {
        let both = [at(6, "10.10.0.13"), at(6, "10.10.0.12")];
        let real = [at(5, "10.10.0.12")];
        let found = owners(&[claim(1, 1, &both), claim(2, 2, &real)], &pods());
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
        let found = owners(&[claim(2, 1, &other_family), claim(1, 1, &real)], &pods());
        assert_eq!(cookies(&found), [("v1", 1)]);
        assert_eq!(found.disputes.len(), 1);
    }
}
