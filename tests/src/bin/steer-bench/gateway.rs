//! Requests from outside: at a port of the node that the kernel leads to a pod, and at one where the agent looks
//! at requests, beside clients that dial the pod.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use steer_tests::lab::{HostSpec, Lab, Network};

use crate::{
    paths::Way,
    report::Report,
    throughput::{CLOSE, Client, KEEP, compare},
    web,
};

const PORT: u16 = 8080;
/// The ports of the node: of TCP, and of HTTP.
const TCP: u16 = 30432;
const HTTP: u16 = 30080;
/// The clients. The first two are what the others are compared with.
const CLIENTS: [&str; 4] = ["direct", "direct-again", "kernel", "agent"];

pub(crate) fn run(full: bool, report: &mut Report) -> Result<()> {
    let server = HostSpec::pod("server", [IpAddr::from([10, 10, 0, 31])]);
    let clients = (10..)
        .zip(CLIENTS)
        .map(|(last, name)| HostSpec::outside(name, [IpAddr::from([192, 0, 2, last])]));
    let lab = Lab::builder(&Lab::fresh_name("bench-gateway"))
        .host(server)
        .hosts(clients)
        .build()?;
    web::serve(lab.pod("server")?, PORT)?;
    let server = SocketAddr::new(lab.pod("server")?.v4()?, PORT);
    lab.configure("cluster.yaml", &configuration(server))?;
    let agent = lab.agent()?;
    let node = |port| SocketAddr::new(Network::default().uplink.into(), port);
    let targets = [server, server, node(TCP), node(HTTP)];
    let clients = CLIENTS
        .into_iter()
        .zip(targets)
        .map(|(name, target)| Client::open(&lab, name, Way::Direct, target))
        .collect::<Result<Vec<_>>>()?;
    let rounds = if full { 100 } else { 5 };
    for (kind, name) in [(KEEP, "keepalive"), (CLOSE, "close")] {
        let before = drawn(&lab)?;
        let medians = compare(&clients, kind, rounds, 1)?;
        ensure!(drawn(&lab)? > before, "the kernel leads nobody to the pod");
        report.figure(
            &format!("gateway.l4_ratio_to_direct.{name}"),
            medians["kernel"],
        );
        report.figure(
            &format!("gateway.proxy_ratio_to_direct.{name}"),
            medians["agent"],
        );
    }
    for client in clients {
        client.close()?;
    }
    agent.stop()?;
    Ok(())
}

/// How many connections the kernel has led to an endpoint.
fn drawn(lab: &Lab) -> Result<u64> {
    let pins = steer::kernel::Pins::new(lab.dirs().pins());
    let live = steer::kernel::Maps::open(&pins)?.read()?;
    let drawn = live
        .reasons
        .get(&steer_common::Reason::Drawn)
        .copied()
        .unwrap_or_default();
    Ok(drawn)
}

/// A service of one pod, and a gateway with a server of each kind that leads to it.
fn configuration(server: SocketAddr) -> String {
    let ip = server.ip();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: server, namespace: bench, labels: {{app: web}}}}\n\
         spec: {{nodeName: node-1, containers: [{{name: web, image: web}}]}}\n\
         status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], conditions: [{{type: Ready, status: 'True'}}]}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: bench}}\n\
         spec: {{clusterIP: 10.200.0.1, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: {PORT}}}]}}\n---\n\
         apiVersion: v1\nkind: Service\n\
         metadata: {{name: ingress, namespace: bench, annotations: {{steer.dev/node-ports: \"80={HTTP}, 5432={TCP}\"}}}}\n\
         spec:\n  clusterIP: 10.200.0.2\n  selector: {{istio: ingressgateway}}\n  \
         ports: [{{name: http, port: 80}}, {{name: tcp, port: 5432}}]\n---\n\
         apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: bench}}\n\
         spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n    \
         - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [\"*\"]}}\n    \
         - {{port: {{number: 5432, name: tcp, protocol: TCP}}, hosts: [\"*\"]}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: bench}}\n\
         spec:\n  hosts: [\"*\"]\n  gateways: [edge]\n  \
         http: [{{route: [{{destination: {{host: web, port: {{number: 80}}}}}}]}}]\n  \
         tcp: [{{route: [{{destination: {{host: web, port: {{number: 80}}}}}}]}}]\n"
    )
}
