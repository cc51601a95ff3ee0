//! What an agent with metrics says of who talks with whom (`/graph.json`).

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use super::sample::Pair;

/// An agent that takes longer is not waited for.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Counts since the agent began.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize)]
pub(super) struct Traffic {
    #[serde(rename = "connections_opened")]
    pub(super) connections: u64,
    pub(super) requests: u64,
    pub(super) errors: u64,
}

#[derive(Deserialize)]
struct Graph {
    traffic: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    source: Node,
    service: String,
    destination: Node,
    reporter: String,
    #[serde(flatten)]
    counted: Traffic,
}

#[derive(Deserialize)]
struct Node {
    namespace: String,
    workload: String,
    version: String,
}

/// Asks the agent.
pub(super) async fn ask(address: SocketAddr) -> anyhow::Result<BTreeMap<Pair, Traffic>> {
    timeout(ANSWER_MAX, get(address))
        .await
        .context("the agent does not answer in time")?
}

async fn get(address: SocketAddr) -> anyhow::Result<BTreeMap<Pair, Traffic>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get("/graph.json")
        .header("host", address.to_string())
        .body(Empty::<bytes::Bytes>::new())?;
    // It ends by itself once the agent has answered.
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    ensure!(status.is_success(), "the agent answers {status}");
    let body = response.into_body().collect().await?.to_bytes();
    parse(&body)
}

/// What sources saw: each connection counts once.
fn parse(text: &[u8]) -> anyhow::Result<BTreeMap<Pair, Traffic>> {
    let graph: Graph = serde_json::from_slice(text).context("understanding the agent's graph")?;
    let mut all: BTreeMap<Pair, Traffic> = BTreeMap::new();
    for edge in graph.traffic {
        // Who comes from outside is seen by nobody else than whom it asks.
        if edge.reporter != "source" && edge.source.workload != "unknown" {
            continue;
        }
        let key = Pair {
            source: format!("{}/{}", edge.source.namespace, edge.source.workload),
            to: match edge.destination.version.as_str() {
                "" | "unknown" => short(&edge.service).to_owned(),
                version => format!("{} {version}", short(&edge.service)),
            },
        };
        let sum = all.entry(key).or_default();
        sum.connections += edge.counted.connections;
        sum.requests += edge.counted.requests;
        sum.errors += edge.counted.errors;
    }
    Ok(all)
}

/// `catalog.shop` of `catalog.shop.svc.cluster.local`; other hosts as they are.
fn short(host: &str) -> &str {
    host.split_once(".svc.").map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_sides_saw_counts_once() {
        let node = |name: &str, version: &str| serde_json::json!({"namespace": "shop", "workload": name, "service": name, "version": version});
        let edge = |reporter: &str, requests: u64| {
            serde_json::json!({
                "source": node("web", "v1"), "service": "cart.shop.svc.cluster.local",
                "destination": node("cart", "v2"), "reporter": reporter,
                "connections_opened": 1, "connections_closed": 0, "sent_bytes": 9,
                "received_bytes": 9, "requests": requests, "errors": 1, "duration_ms": 0.5,
            })
        };
        let graph = serde_json::json!({"traffic": [edge("source", 5), edge("destination", 5)]});
        let found = parse(graph.to_string().as_bytes()).unwrap();
        let pair = Pair {
            source: "shop/web".to_owned(),
            to: "cart.shop v2".to_owned(),
        };
        let traffic = Traffic {
            connections: 1,
            requests: 5,
            errors: 1,
        };
        assert_eq!(found, [(pair, traffic)].into());
    }
}
