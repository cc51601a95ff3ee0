//! The ways from a client to a server: each in a pod of its own, which nothing else steers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use steer::{
    control::Engine,
    image::{Image, Route},
};
use steer_common::Proto;
use steer_tests::{lab::Lab, pod::Pod};

use crate::{
    envoy::{Envoy, Listener},
    guarded, images, rules,
};

/// Where Envoy listens.
const PROXY: u16 = 10_000;

/// How a client comes to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// It dials the server.
    Direct,
    /// It dials one of so many services, and steer chooses.
    Steer(u32),
    /// The same by iptables as kube-proxy uses it, loaded by this program.
    Iptables(&'static str, u32),
    /// The same by nftables as kube-proxy uses it.
    Nftables(u32),
    /// It dials the server, which a policy lets it reach.
    Guarded,
    /// It dials Envoy in its pod, which passes connections on.
    EnvoyTcp,
    /// It dials Envoy in its pod, which passes requests on.
    EnvoyHttp,
}

/// What keeps a way open.
#[derive(Default)]
pub(crate) struct Open {
    engine: Option<Engine>,
    envoy: Option<Envoy>,
}

impl Open {
    /// Ends what was started.
    pub(crate) fn close(self) -> Result<()> {
        drop(self.engine);
        self.envoy.map_or(Ok(()), Envoy::stop)
    }
}

impl Way {
    /// Makes it from `pod` to `server`. Says what to dial: in the middle, where there are many
    /// services, because a chain of rules is walked from its start.
    pub(crate) fn open(
        self,
        lab: &Lab,
        pod: &Pod,
        server: SocketAddr,
    ) -> Result<(SocketAddr, Open)> {
        let middle = |services: u32| SocketAddr::from((images::address(services / 2), 80));
        let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, PROXY));
        let mut open = Open::default();
        let target = match self {
            Self::Direct => server,
            Self::Steer(services) => {
                let mut engine = images::engine(lab, pod.cgroup().path(), services.max(100))?;
                engine.apply(&services_to(server, services))?;
                open.engine = Some(engine);
                middle(services)
            }
            Self::Guarded => {
                open.engine = Some(guarded::guard(lab, pod, server)?);
                server
            }
            Self::Iptables(restore, services) => {
                rules::iptables(pod, restore, services, server)?;
                middle(services)
            }
            Self::Nftables(services) => {
                rules::nftables(pod, services, server)?;
                middle(services)
            }
            Self::EnvoyTcp => {
                let to = vec![(1, server)];
                let listener = Listener::Tcp { port: PROXY, to };
                open.envoy = Some(Envoy::start(pod, &[listener])?);
                proxy
            }
            Self::EnvoyHttp => {
                let listener = Listener::Http {
                    port: PROXY,
                    to: server,
                };
                open.envoy = Some(Envoy::start(pod, &[listener])?);
                proxy
            }
        };
        Ok((target, open))
    }
}

/// `count` services that all lead to the server, split 90/10 over two destinations.
fn services_to(server: SocketAddr, count: u32) -> Image {
    let route = |number| -> std::sync::Arc<Route> {
        images::route(number, &[(90, vec![server]), (10, vec![server])])
    };
    Image {
        routes: (0..count)
            .map(|number| (images::key(number, 0, Proto::Tcp), route(number)))
            .collect(),
        ..Image::default()
    }
}

/// Addresses of clients: one a path.
pub(crate) fn client_address(path: usize) -> IpAddr {
    let last = u8::try_from(40 + path).unwrap_or(u8::MAX);
    IpAddr::from([10, 10, 0, last])
}
