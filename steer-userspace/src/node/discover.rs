//! Finds the pods of this node: one walk over /proc, and a look into each network namespace that is
//! new.
//!
//! A namespace counts if one of its processes is below the cgroup that is watched, and the other
//! end of its veth is in the agent's own namespace. The latter is read on the node's side, which
//! nobody in a pod can change: a namespace made inside a pod hangs on that pod, not on the node.
//! Processes that share the agent's namespace are the node's and are never matched; so are threads
//! that left their process's namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    NodeError,
    cgroup::CgroupPath,
    connections::Insider,
    findings,
    netlink::Netlink,
    owners::{self, Claim},
    pairs::{self, Attached, Pair},
    process::{self, Walk, Witness},
    visit,
};
use crate::{desired::model::PodRef, finding::Finding};

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// The cookie of the node's own network namespace.
    pub own: Option<u64>,
    /// The pods, by the cookie of their network namespace.
    pub namespaces: BTreeMap<u64, PodRef>,
    /// The same, by pod.
    pub workloads: BTreeMap<PodRef, Workload>,
    /// What is disputed, or could not be seen; sorted.
    pub findings: Vec<Finding>,
    /// How many namespaces were entered for it.
    pub entered: usize,
}

/// How a pod hangs on the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// The cookie of its network namespace.
    pub cookie: u64,
    /// The index of the interface on the node whose other end is the pod's.
    pub host_index: u32,
    /// The index of the bridge that this interface is a port of; 0 if it is none.
    pub bridge: u32,
    /// The index of that other end, in the pod's namespace.
    pub index: u32,
    /// The addresses behind that interface, in the kernel's order.
    pub addresses: Vec<IpAddr>,
    /// By whom to look at its connections.
    pub insider: Insider,
    /// The cgroup of that process, from the watched one down; `None` if its names are not known.
    pub cgroup: Option<PathBuf>,
}

/// Remembers the namespaces it has seen, so that a scan in which nothing is new is one walk.
pub struct Scanner {
    watched: CgroupPath,
    own: u64,
    node: Netlink,
    /// The namespaces that have an address, by inode.
    known: BTreeMap<u64, Namespace>,
    /// In which scan each namespace was first seen with an address, by cookie.
    seen: BTreeMap<u64, u64>,
    scans: u64,
}

/// A namespace that hangs on the node. An inode may be used again; the witness says it was not.
struct Namespace {
    witness: Witness,
    cookie: u64,
    addresses: Vec<Attached>,
}

/// A namespace that shall be entered.
struct Candidate {
    inode: u64,
    witness: Witness,
    file: File,
    /// The node's ends of its pairs.
    host: Vec<Pair>,
}

impl Scanner {
    /// Watches the namespaces of processes below the cgroup v2 directory `cgroup`. The agent's own
    /// network namespace is that of the calling thread.
    pub fn new(cgroup: impl AsRef<Path>) -> Result<Self, NodeError> {
        Ok(Self {
            watched: visit::place(cgroup.as_ref())?,
            own: process::own_namespace()?,
            node: Netlink::open().map_err(NodeError::netlink("opening a socket"))?,
            known: BTreeMap::new(),
            seen: BTreeMap::new(),
            scans: 0,
        })
    }

    /// Looks at the node, and says which namespace is which of `pods`, given by address. It blocks
    /// for some milliseconds: call it where that is allowed.
    pub fn scan(&mut self, pods: &BTreeMap<IpAddr, PodRef>) -> Result<Scan, NodeError> {
        self.scans += 1;
        let walk = process::walk()?;
        self.known.retain(|inode, namespace| {
            let here = walk.namespaces.get(inode);
            here.is_some_and(|pids| pids.contains(&namespace.witness.pid))
                && namespace.witness.lives()
        });
        let is_ours = |&pid: &u32| process::is_below(&self.watched, pid);
        let mut refused = walk.refused.iter().copied().filter(is_ours).count();
        let unknown = self.unknown(&walk);
        let candidates = self.candidates(unknown, &mut refused)?;
        let entered = candidates.len();
        self.enter(candidates, &mut refused)?;
        self.remember();
        let own = self
            .node
            .addresses()
            .map_err(NodeError::netlink("listing addresses"))?;
        let mut scan = self.matched(pods);
        scan.entered = entered;
        scan.own = self.node.cookie().ok();
        let own: BTreeSet<IpAddr> = own.iter().map(|address| address.ip).collect();
        for (ip, pod) in pods.iter().filter(|&(ip, _)| own.contains(ip)) {
            scan.findings.push(findings::on_host_network(pod, *ip));
        }
        if refused > 0 {
            scan.findings.push(findings::refused(refused));
        }
        scan.findings.sort();
        Ok(scan)
    }

    /// The namespaces below the watched cgroup that are not known yet.
    fn unknown(&self, walk: &Walk) -> Vec<(u64, Witness)> {
        walk.namespaces
            .iter()
            .filter(|&(inode, _)| *inode != self.own && !self.known.contains_key(inode))
            .filter_map(|(&inode, pids)| Some((inode, Witness::below(&self.watched, pids)?)))
            .collect()
    }

    /// Those of them that hang on the node: the others need not be entered.
    fn candidates(
        &mut self,
        unknown: Vec<(u64, Witness)>,
        refused: &mut usize,
    ) -> Result<Vec<Candidate>, NodeError> {
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        // Listing makes the kernel number the namespaces at the other ends; so it comes first.
        let node = self
            .node
            .pairs()
            .map_err(NodeError::netlink("listing interfaces"))?;
        self.known.retain(|_, namespace| {
            let mut ends = namespace.addresses.iter().map(|attached| attached.host);
            ends.all(|end| node.contains(&end))
        });
        let mut candidates = Vec::new();
        for (inode, witness) in unknown {
            match witness.open_namespace(inode) {
                Ok(Some(file)) => {
                    let number = self.node.number_of(&file);
                    let number = number.map_err(NodeError::netlink("numbering a namespace"))?;
                    let host = number.map_or_else(Vec::new, |number| pairs::into(&node, number));
                    if !host.is_empty() {
                        candidates.push(Candidate {
                            inode,
                            witness,
                            file,
                            host,
                        });
                    }
                }
                Ok(None) => {}
                Err(error) if process::vanished(&error) => {}
                Err(_) => *refused += 1,
            }
        }
        Ok(candidates)
    }

    fn enter(&mut self, candidates: Vec<Candidate>, refused: &mut usize) -> Result<(), NodeError> {
        if candidates.is_empty() {
            return Ok(());
        }
        let (files, candidates): (Vec<File>, Vec<_>) = candidates
            .into_iter()
            .map(|found| (found.file, (found.inode, found.witness, found.host)))
            .unzip();
        let sockets = visit::sockets(&files)?;
        for ((inode, witness, host), socket) in candidates.into_iter().zip(sockets) {
            match socket.and_then(|socket| look(&socket, &host)) {
                Ok((cookie, addresses)) if !addresses.is_empty() => {
                    let namespace = Namespace {
                        witness,
                        cookie,
                        addresses,
                    };
                    self.known.insert(inode, namespace);
                }
                // The address comes later: the next scan looks again.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => *refused += 1,
                Err(error) => tracing::debug!(%error, pid = witness.pid, "namespace not read"),
            }
        }
        Ok(())
    }

    fn remember(&mut self) {
        let now = self.scans;
        let seen = std::mem::take(&mut self.seen);
        let cookies = self.known.values().map(|namespace| namespace.cookie);
        self.seen = cookies
            .map(|cookie| (cookie, seen.get(&cookie).copied().unwrap_or(now)))
            .collect();
    }

    fn matched(&self, pods: &BTreeMap<IpAddr, PodRef>) -> Scan {
        let by_cookie: BTreeMap<u64, (u64, &Namespace)> = self
            .known
            .iter()
            .map(|(&inode, found)| (found.cookie, (inode, found)))
            .collect();
        let claims: Vec<Claim<'_>> = by_cookie
            .iter()
            .map(|(&cookie, (_, namespace))| Claim {
                cookie,
                seen: self.seen.get(&cookie).copied().unwrap_or(self.scans),
                addresses: &namespace.addresses,
            })
            .collect();
        let routes: BTreeMap<IpAddr, u32> = owners::contested(&claims, pods)
            .into_iter()
            .filter_map(|ip| Some((ip, self.node.interface_to(ip).ok().flatten()?)))
            .collect();
        let owners = owners::owners(&claims, pods, &routes);
        let mut scan = Scan::default();
        for (pod, (cookie, at)) in owners.pods {
            let Some(&(inode, namespace)) = by_cookie.get(&cookie) else {
                continue;
            };
            let addresses = namespace
                .addresses
                .iter()
                .filter(|other| other.host.index == at.host.index)
                .map(|other| other.ip)
                .collect();
            let host_index = at.host.index;
            scan.namespaces.insert(cookie, pod.clone());
            scan.workloads.insert(
                pod,
                Workload {
                    cookie,
                    host_index,
                    bridge: at.host.bridge,
                    index: at.host.peer,
                    addresses,
                    insider: Insider::new(namespace.witness, inode),
                    cgroup: process::cgroup_of(namespace.witness.pid)
                        .and_then(|place| self.watched.way_to(&place)),
                },
            );
        }
        scan.findings = owners.disputes.iter().map(findings::disputed).collect();
        scan
    }
}

fn look(socket: &Netlink, host: &[Pair]) -> io::Result<(u64, Vec<Attached>)> {
    let inside = socket.pairs()?;
    let addresses = socket.addresses()?;
    Ok((socket.cookie()?, pairs::attached(host, &inside, &addresses)))
}
