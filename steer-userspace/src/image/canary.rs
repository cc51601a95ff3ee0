//! The canary: a service of steer's own on the loopback, so that it can be seen at any time that the
//! kernel steers, without a connection to anybody's application.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use steer_common::{
    Proto,
    addr::{Addr, Port},
    service::{CLASS_ANYONE, Depth, ServiceKey},
};

use super::model::{Destination, DestinationName, Route, ServiceName};
use crate::desired::model::{Endpoint, Rule};

const HOST: &str = "canary.steer";
/// The discard service's (RFC 863): nobody listens there.
const PORT: u16 = 9;

/// What is dialled. 115 and 116 are `st`; nothing else is known to live there.
pub const ADDRESS: SocketAddr = at(1);
/// Where the kernel leads it.
pub const ENDPOINT: SocketAddr = at(2);

const fn at(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 115, 116, last)), PORT)
}

/// Whether a service is the canary: listings are of other people's.
pub fn is(name: &ServiceName) -> bool {
    name.host == HOST
}

/// What leads to it.
pub fn key() -> ServiceKey {
    let addr = Addr::from(ADDRESS.ip());
    ServiceKey::new(CLASS_ANYONE, addr, Port::new(PORT), Proto::Tcp)
}

/// Its row.
pub(crate) fn row() -> (ServiceKey, Arc<Route>) {
    let name = DestinationName {
        host: HOST.to_owned(),
        port: PORT,
        subset: None,
        weight: 1,
        destination_rules: Vec::new(),
    };
    let endpoint = Endpoint {
        ip: ENDPOINT.ip(),
        port: PORT,
        pod: None,
    };
    let route = Route {
        service: Arc::new(ServiceName {
            namespace: "steer".to_owned(),
            name: "canary".to_owned(),
            host: HOST.to_owned(),
            port_name: String::new(),
            protocol: "TCP".to_owned(),
        }),
        rule: Arc::new(Rule::Service),
        hidden: false,
        varies: false,
        depth: Depth::Connect,
        auto: false,
        affinity_secs: 0,
        destinations: vec![Destination {
            name: Arc::new(name),
            endpoints: Arc::new([endpoint]),
        }],
    };
    (key(), Arc::new(route))
}
