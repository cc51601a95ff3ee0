//! What the pods of this node may reach.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use steer_common::Proto;

pub use crate::source::subnet::Subnet;

use crate::desired::model::{PodRef, Rule};

/// The egress policies of this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Egress {
    /// By name. That of clients nobody knows is `ANYONE`.
    pub policies: BTreeMap<String, Arc<Policy>>,
    /// The policy of each pod that has another than `ANYONE`.
    pub pods: BTreeMap<PodRef, String>,
    /// Whose answers teach names.
    pub resolvers: BTreeSet<IpAddr>,
    /// Names whose addresses the agent finds itself.
    pub resolve: BTreeSet<String>,
}

/// The policy of clients nobody knows.
pub const ANYONE: &str = "*";

/// The policy of this machine's own processes, and of pods on its network.
pub const HOST: &str = "host";

/// What clients may reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// How strict it is.
    pub mode: Mode,
    /// What says so.
    pub rule: Rule,
    /// Networks and addresses. Of those that contain an address the narrowest counts alone: it
    /// says all that the wider ones say.
    pub nets: BTreeMap<Subnet, Net>,
    /// Names and wildcards. Of those that fit a name the longest counts alone.
    pub names: BTreeMap<String, Arc<Group>>,
}

/// How strict a policy is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Everything may be reached.
    Open,
    /// Everything may be reached; what would be refused is counted and told.
    Audit,
    /// What the registry does not name is refused.
    Enforce,
}

impl Mode {
    /// The word that listings show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

/// A network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Net {
    /// What may be reached there.
    pub group: Option<Arc<Group>>,
    /// A name that resolves to it is not believed: it is inside the cluster, or this machine.
    pub never_learned: bool,
}

/// Ports that belong together: those of a name, of an address, of endpoints.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Group {
    /// What they are ports of.
    pub name: Arc<GroupName>,
    /// The ports.
    pub ports: BTreeMap<PortKey, PortRule>,
}

/// What a group of ports belongs to, as listings name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupName {
    /// A name or wildcard that clients look up.
    Name(String),
    /// Addresses of these hosts, with these ports.
    Addresses {
        /// The hosts.
        hosts: BTreeSet<String>,
        /// The ports, as text: endpoints of one host may have others.
        ports: String,
    },
}

impl GroupName {
    /// As listings show it.
    pub fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Addresses { hosts, .. } => {
                let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
                hosts.join(" + ")
            }
        }
    }
}

/// A port and its transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortKey {
    /// The transport.
    pub proto: Proto,
    /// The number.
    pub port: u16,
}

/// How a port may be used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PortRule {
    /// What the first bytes must say.
    pub check: Check,
    /// What allows it.
    pub rule: Arc<Rule>,
}

/// What the first bytes of a connection must say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// Nothing: the address is enough.
    Address,
    /// A TLS hello with an allowed name.
    Sni,
    /// An HTTP request for an allowed host.
    Host,
}

impl Check {
    /// The word that listings show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "ip",
            Self::Sni => "sni",
            Self::Host => "host",
        }
    }
}

impl Group {
    /// Ports of the addresses of hosts.
    pub fn of_addresses(hosts: BTreeSet<String>, ports: BTreeMap<PortKey, PortRule>) -> Self {
        let text: Vec<String> = ports
            .iter()
            .map(|(key, rule)| format!("{}/{}/{}", key.port, key.proto, rule.check.name()))
            .collect();
        let name = GroupName::Addresses {
            hosts,
            ports: text.join(" "),
        };
        Self {
            name: Arc::new(name),
            ports,
        }
    }

    /// Adds what `other` allows. Where both allow a port, the one that asks for less holds.
    pub fn add(&mut self, other: &Self) {
        for (key, rule) in &other.ports {
            let own = self.ports.entry(*key).or_insert_with(|| rule.clone());
            if rule.check == Check::Address && own.check != Check::Address {
                *own = rule.clone();
            }
        }
    }
}
