//! What the maps of the egress guard will hold, by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::desired::{
    egress::model::{Mode, Policy},
    model::PodRef,
};

/// Name -> its addresses, each with the second of the monotonic clock at which it ends.
pub type Found = BTreeMap<String, BTreeMap<IpAddr, u32>>;

/// What may be reached, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// By name; empty while nothing is audited or enforced.
    pub policies: BTreeMap<String, Arc<Policy>>,
    /// Whose DNS answers are believed.
    pub resolvers: BTreeSet<IpAddr>,
    /// What the agent found for names of the policies.
    pub found: Arc<Found>,
    /// Who is behind the interfaces of this node, by index.
    pub ports: BTreeMap<u32, Port>,
    /// How refusals look.
    pub limits: Limits,
}

/// Who is behind an interface of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// The cookie of its network namespace.
    pub cookie: u64,
    /// The pod.
    pub pod: PodRef,
    /// Its policy.
    pub policy: String,
    /// From where it may send.
    pub addresses: Vec<IpAddr>,
    /// The index of the bridge on which it meets its neighbours; 0 if there is none.
    pub bridge: u32,
}

/// How refusals look, and how long names hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What `connect` fails with.
    pub errno: u32,
    /// An address of a name is good for at least this long.
    pub ttl_min_secs: u32,
    /// And at most this long.
    pub ttl_max_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let meta = steer_common::egress::Meta::new();
        Self {
            errno: meta.errno,
            ttl_min_secs: meta.ttl_min_secs,
            ttl_max_secs: meta.ttl_max_secs,
        }
    }
}

impl Egress {
    /// Whether any policy audits or enforces.
    pub fn is_on(&self) -> bool {
        let mut policies = self.policies.values();
        policies.any(|policy| policy.mode != Mode::Open)
    }

    fn is(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Policy>, &Arc<Policy>)| Arc::ptr_eq(a, b) || a == b;
        self.policies.keys().eq(other.policies.keys())
            && self
                .policies
                .values()
                .zip(other.policies.values())
                .all(same)
            && self.resolvers == other.resolvers
            && (Arc::ptr_eq(&self.found, &other.found) || self.found == other.found)
            && self.ports == other.ports
            && self.limits == other.limits
    }
}

impl PartialEq for Egress {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Egress {}
