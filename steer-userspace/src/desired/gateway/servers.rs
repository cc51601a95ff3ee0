//! What stands at a door: servers of one kind merge, of two kinds the first one wins.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    doors::Door,
    ending,
    hosts::Hosts,
    model::{Chain, Entrance, Inside, Listener, Site},
    names, streams,
};
use crate::{
    desired::{codes, report::Report, route::World},
    source::{
        Object, Snapshot,
        istio::{Gateway, Server, ServerTls},
    },
};

/// What a server takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Http,
    Tls,
    Tcp,
}

/// A server at a door.
#[derive(Clone, Copy)]
pub(super) struct Placed<'w> {
    pub(super) gateway: &'w Arc<Object<Gateway>>,
    pub(super) index: usize,
    pub(super) door: &'w Door<'w>,
}

impl<'w> Placed<'w> {
    pub(super) fn server(&self) -> &'w Server {
        &self.gateway.spec.servers[self.index]
    }

    pub(super) fn field(&self, rest: &str) -> String {
        format!("spec.servers[{}].{rest}", self.index)
    }

    fn protocol(&self) -> String {
        let port = self.server().port.as_ref();
        port.map_or_else(String::new, |port| port.protocol.to_ascii_lowercase())
    }

    fn kind(&self) -> Kind {
        match self.protocol().as_str() {
            "http" | "http2" | "grpc" | "grpc-web" => Kind::Http,
            "https" | "tls" => Kind::Tls,
            _ => Kind::Tcp,
        }
    }
}

/// The listeners of all doors, by port of the node.
pub(super) fn listeners(
    world: World<'_>,
    snapshot: &Snapshot,
    doors: &[Door<'_>],
    report: &mut Report,
) -> Vec<Listener> {
    let mut by_port: BTreeMap<u16, Listener> = BTreeMap::new();
    for door in doors {
        let Some(entrance) = entrance(world, snapshot, door, report) else {
            continue;
        };
        for &port in &door.node_ports {
            let listener = || Listener {
                port,
                service: door.service.reference(),
                host: door.host.to_owned(),
                number: door.number,
                target: door.target,
                entrance: entrance.clone(),
            };
            by_port.entry(port).or_insert_with(listener);
        }
    }
    by_port.into_values().collect()
}

fn entrance<'w>(
    world: World<'w>,
    snapshot: &Snapshot,
    door: &'w Door<'w>,
    report: &mut Report,
) -> Option<Entrance> {
    let all = door.servers.iter();
    let all = all.map(|&(gateway, index)| Placed {
        gateway,
        index,
        door,
    });
    let all: Vec<Placed<'_>> = all.collect();
    let first = *all.first()?;
    let (same, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| one.kind() == first.kind());
    for other in others {
        conflict(other, first, report);
    }
    Some(match first.kind() {
        Kind::Http => {
            let mut hosts = Hosts::new(world);
            same.iter().for_each(|one| hosts.add(*one, report));
            Entrance::Http(Site {
                name: format!("http.{}", door.target),
                hosts: hosts.finish(),
            })
        }
        Kind::Tls => Entrance::Tls(chains(world, snapshot, &same, report)),
        Kind::Tcp => {
            for other in same.iter().skip(1) {
                conflict(*other, first, report);
            }
            Entrance::Tcp(streams::of_bytes(world, first, report))
        }
    })
}

/// Of servers that ask for one name, the first has it.
fn chains<'w>(
    world: World<'w>,
    snapshot: &Snapshot,
    servers: &[Placed<'w>],
    report: &mut Report,
) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut taken: BTreeMap<String, Placed<'_>> = BTreeMap::new();
    for &placed in servers {
        let names = names::all_hosts(placed.server());
        if let Some(&first) = names.iter().find_map(|name| taken.get(name)) {
            conflict(placed, first, report);
            continue;
        }
        taken.extend(names.iter().map(|name| (name.clone(), placed)));
        let passing = ServerTls::default();
        let tls = placed.server().tls.as_ref().unwrap_or(&passing);
        if tls.passes_through() {
            streams::of_names(world, placed, report, &mut chains);
            continue;
        }
        let ending = ending::of(snapshot, placed, tls, report);
        let inside = if placed.protocol() == "https" {
            let mut hosts = Hosts::new(world);
            hosts.add(placed, report);
            let site = Site {
                name: table(placed),
                hosts: hosts.finish(),
            };
            Inside::Http(ending, site)
        } else {
            Inside::Tcp(ending, streams::of_bytes(world, placed, report))
        };
        chains.push(Chain { names, inside });
    }
    chains
}

/// As Istio names the route table of a server that ends TLS.
fn table(placed: Placed<'_>) -> String {
    let port = placed.server().port.as_ref();
    let name = port.map_or("", |port| port.name.as_str());
    let meta = &placed.gateway.meta;
    let (target, gateway, namespace) = (placed.door.target, &meta.name, &meta.namespace);
    format!("https.{target}.{name}.{gateway}.{namespace}")
}

fn conflict(placed: Placed<'_>, first: Placed<'_>, report: &mut Report) {
    let message = format!(
        "{} spec.servers[{}] has this port, or a name of it, already: this server has no effect",
        first.gateway.reference(),
        first.index
    );
    let help = "servers of HTTP share a port; of others, each needs names or a port of its own";
    let field = placed.field("port");
    let gateway = &**placed.gateway;
    report.add(gateway, &field, codes::GATEWAYS_CONFLICT, message, help);
}
