//! What a node listens for, and what becomes of it.

use std::sync::Arc;

use crate::{
    certificates::Ending,
    desired::model::{Destination, RequestRule, Rule},
    finding::ObjectRef,
};

/// A port of every node.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The Service that it is a door of.
    pub service: ObjectRef,
    /// Its name, fully qualified.
    pub host: String,
    /// The port of the Service.
    pub number: u16,
    /// The port of the pods that the Service would lead to: listeners are named after it.
    pub target: u16,
    /// What comes in.
    pub entrance: Entrance,
}

/// What comes in at a listener.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Requests.
    Http(Site),
    /// TLS: the names that clients ask for decide.
    Tls(Vec<Chain>),
    /// Other bytes, all of which take one rule; none refuses.
    Tcp(Option<Stream>),
}

/// Virtual hosts: the most specific one takes a request; what none takes is answered with 404.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name of the route table, e.g. `http.8080`.
    pub name: String,
    /// The hosts, by pattern.
    pub hosts: Vec<VirtualHost>,
}

/// Rules for a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VirtualHost {
    /// Its name: host and port of the Service.
    pub name: String,
    /// The host, or a pattern.
    pub host: String,
    /// In order; what none of them takes is answered with 404.
    pub rules: Vec<RequestRule>,
}

/// Names that clients ask for in TLS, and what becomes of their connections.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The names, or patterns.
    pub names: Vec<String>,
    /// What becomes of them.
    pub inside: Inside,
}

/// What becomes of TLS.
#[derive(Clone, Debug)]
pub enum Inside {
    /// It goes on as it is.
    Passed(Stream),
    /// It ends here: requests come out of it.
    Http(Option<Ending>, Site),
    /// It ends here: bytes come out of it.
    Tcp(Option<Ending>, Option<Stream>),
}

/// A rule for bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// What made it.
    pub rule: Rule,
    /// Where connections go, weights as written.
    pub destinations: Vec<Destination>,
}

/// Listeners, shared.
pub type Listeners = Arc<[Listener]>;
