//! What gateways serve, as listings show it.

use serde::{Deserialize, Serialize};

use super::{Shown, shown};
use crate::desired::gateway::model::{
    Chain, Entrance, Inside, Listener, Site, Stream, VirtualHost,
};

/// A virtual host of a gateway, or what stands in its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// The route table, as Istio names it: `http.8080`.
    pub name: String,
    /// The port of the node.
    pub port: u16,
    /// What is spoken there.
    pub protocol: String,
    /// The virtual host: `shop.example:80`.
    pub vhost_name: String,
    /// Its hosts, or the names that are asked for in TLS.
    pub domains: Vec<String>,
    /// Whether its connections are refused: it has no certificate.
    pub refused: bool,
    /// Its rules; without any, requests are answered with 404, and connections are closed.
    pub rules: Vec<Shown>,
}

/// All of a node, by port.
pub fn listed(listeners: &[Listener]) -> Vec<Listed> {
    listeners.iter().flat_map(of_listener).collect()
}

fn of_listener(listener: &Listener) -> Vec<Listed> {
    let row = |protocol: &str, names: &[String], stream: Option<&Stream>| Listed {
        name: format!("{}.{}", protocol.to_ascii_lowercase(), listener.target),
        port: listener.port,
        protocol: protocol.to_owned(),
        vhost_name: "-".to_owned(),
        domains: names.to_vec(),
        refused: false,
        rules: stream.into_iter().map(shown::of_stream).collect(),
    };
    match &listener.entrance {
        Entrance::Http(site) => of_site(listener, "HTTP", site),
        Entrance::Tcp(stream) => vec![row("TCP", &["*".to_owned()], stream.as_ref())],
        Entrance::Tls(chains) => {
            let chain = |Chain { names, inside }: &Chain| match inside {
                Inside::Passed(stream) => vec![row("TLS", names, Some(stream))],
                Inside::Http(ending, site) => {
                    let refused = ending.is_none();
                    let all = of_site(listener, "HTTPS", site).into_iter();
                    all.map(|one| Listed { refused, ..one }).collect()
                }
                Inside::Tcp(ending, stream) => vec![Listed {
                    refused: ending.is_none(),
                    ..row("TLS", names, stream.as_ref())
                }],
            };
            chains.iter().flat_map(chain).collect()
        }
    }
}

fn of_site(listener: &Listener, protocol: &str, site: &Site) -> Vec<Listed> {
    let row = |vhost_name: String, host: &str, rules: Vec<Shown>| Listed {
        name: site.name.clone(),
        port: listener.port,
        protocol: protocol.to_owned(),
        vhost_name,
        domains: vec![host.to_owned()],
        refused: false,
        rules,
    };
    if site.hosts.is_empty() {
        let name = format!("blackhole:{}", listener.number);
        return vec![row(name, "*", Vec::new())];
    }
    let host = |found: &VirtualHost| {
        let rules = found.rules.iter().map(Shown::new).collect();
        row(found.name.clone(), &found.host, rules)
    };
    site.hosts.iter().map(host).collect()
}
