//! Gateway: the doors through which traffic comes in from outside.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ListenerPort, ServerTls};
use crate::source::object::Kind;

/// `Gateway.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Which gateways: all these labels, in any namespace.
    pub selector: BTreeMap<String, String>,
    /// Where they listen.
    pub servers: Vec<Server>,
}

impl Kind for Gateway {
    const KIND: &'static str = "Gateway";
}

/// `servers[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// The port of the gateway's Service.
    pub port: Option<ListenerPort>,
    /// On which address.
    pub bind: Option<String>,
    /// `HOST` or `NAMESPACE/HOST`: for whom, and whose VirtualServices may be bound.
    pub hosts: Vec<String>,
    /// What becomes of TLS.
    pub tls: Option<ServerTls>,
    /// Not used here.
    pub default_endpoint: Option<String>,
    /// For statistics.
    pub name: Option<String>,
}
