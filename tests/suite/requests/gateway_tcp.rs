//! TCP of outside that the kernel leads to pods by itself: whom the endpoint sees, how it is split, and
//! what becomes of connections while the agent is away, and when the rules change.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    harness::test,
    lab::{Lab, Network},
    pod::Pod,
    server::identity::Server,
    topology,
};

use crate::{
    database::{Client, Database, PORT, dial_from},
    stage::{Stage, eventually},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("gateway_tcp::the_endpoint_sees_the_client", client_is_seen),
        test("gateway_tcp::connections_outlive_agent_and_rules", outlive),
        test("gateway_tcp::a_port_used_again_draws_anew", used_again),
        test("gateway_tcp::an_endpoint_has_one_of_a_kind", one_of_a_kind),
        test("gateway_tcp::answers_pass_the_egress_guard", guarded),
        test(
            "gateway_tcp::what_is_elsewhere_goes_by_the_agent",
            elsewhere,
        ),
    ]
}

/// The port of the node, and another one of the same server.
const DOOR: u16 = 30432;
const OTHER_DOOR: u16 = 30433;
/// Both versions of the catalog: there stand the two databases.
const A: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 12);
const B: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 13);

/// The lab with its agent, and two databases of which one gets so much more than the other.
struct Ground {
    stage: Stage,
    databases: Vec<Database>,
}

fn raise(purpose: &str, weights: [u32; 2], addresses: [IpAddr; 2]) -> Result<Ground> {
    let lab = topology::bookstore(&Lab::fresh_name(purpose))?;
    let mut databases = Vec::new();
    for (name, address) in ["a", "b"].into_iter().zip(addresses) {
        let pods = lab.hosts().iter();
        let of = |pod: &&Pod| pod.record().addresses.contains(&address);
        let pod = pods.into_iter().find(of);
        let pod = pod.with_context(|| format!("nobody has {address}"))?;
        databases.push(Database::start(pod, name)?);
    }
    let stage = begin(lab, weights, addresses)?;
    Ok(Ground { stage, databases })
}

/// Starts the agent on rules that lead to these addresses.
fn begin(lab: Lab, weights: [u32; 2], [a, b]: [IpAddr; 2]) -> Result<Stage> {
    lab.configure("gateway.yaml", &gateway())?;
    lab.configure("a.yaml", &database(&lab, "a", a)?)?;
    lab.configure("b.yaml", &database(&lab, "b", b)?)?;
    lab.configure("rules.yaml", &rules(weights))?;
    let agent = lab.agent()?;
    Ok(Stage { agent, lab })
}

fn gateway() -> String {
    format!(
        "apiVersion: v1\nkind: Service\n\
         metadata:\n  name: istio-ingressgateway\n  namespace: istio-system\n  annotations:\n    \
         steer.dev/node-ports: \"{PORT}={DOOR}, {PORT}={OTHER_DOOR}\"\n\
         spec:\n  clusterIP: 10.200.1.80\n  selector: {{istio: ingressgateway}}\n  \
         ports: [{{name: tcp, port: {PORT}}}]\n\
         ---\napiVersion: networking.istio.io/v1\nkind: Gateway\n\
         metadata: {{name: edge, namespace: istioinaction}}\n\
         spec:\n  selector: {{istio: ingressgateway}}\n  servers:\n    \
         - {{port: {{number: {PORT}, name: tcp, protocol: TCP}}, hosts: [\"*\"]}}\n"
    )
}

fn rules(weights: [u32; 2]) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: db, namespace: istioinaction}}\n\
         spec:\n  hosts: [\"*\"]\n  gateways: [edge]\n  tcp:\n    - route:\n        \
         - {{destination: {{host: a}}, weight: {}}}\n        \
         - {{destination: {{host: b}}, weight: {}}}\n",
        weights[0], weights[1]
    )
}

/// A service of one endpoint, of both families if its pod has both.
fn database(lab: &Lab, name: &str, address: IpAddr) -> Result<String> {
    let mut hosts = lab.hosts().iter();
    let host = hosts.find(|pod| pod.record().addresses.contains(&address));
    let all = &host.context("somebody has it")?.record().addresses;
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: istioinaction}}\n\
         spec: {{clusterIP: None, ports: [{{name: tcp, port: {PORT}}}]}}\n"
    );
    for (family, is_v4) in [("IPv4", true), ("IPv6", false)] {
        let Some(found) = all.iter().find(|one| one.is_ipv4() == is_v4) else {
            continue;
        };
        text += &format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}-{}, namespace: istioinaction, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             addressType: {family}\nports: [{{name: tcp, port: {PORT}, protocol: TCP}}]\n\
             endpoints: [{{addresses: [\"{found}\"]}}]\n",
            family.to_lowercase()
        );
    }
    Ok(text)
}

fn node(port: u16) -> SocketAddr {
    SocketAddr::new(Network::default().uplink.into(), port)
}

fn node_v6(port: u16) -> SocketAddr {
    SocketAddr::new(Network::default().node_v6[1].into(), port)
}

/// Of each ten in a row, nine are the first one's and one the other's.
fn ensure_nine_of_ten(who: &[String]) -> Result<()> {
    for window in who.windows(10) {
        let others = window.iter().filter(|name| *name == "b").count();
        ensure!(others == 1, "{others} of {window:?}");
    }
    Ok(())
}

/// The links at the uplinks.
fn links(lab: &Lab) -> Result<usize> {
    let version = format!("v{}", steer_common::ABI_VERSION);
    let folder = lab.dirs().pins().join(version).join("uplinks");
    Ok(fs::read_dir(&folder)
        .with_context(|| format!("look at {}", folder.display()))?
        .count())
}

fn with_pods(purpose: &str, weights: [u32; 2]) -> Result<Ground> {
    raise(purpose, weights, [A.into(), B.into()])
}

fn client_is_seen() -> Result<()> {
    let ground = with_pods("seen", [90, 10])?;
    let lab = &ground.stage.lab;
    let outside = lab.pod(topology::OUTSIDE)?;
    for to in [node(DOOR), node_v6(DOOR)] {
        let mut who = Vec::new();
        for _ in 0..100 {
            let mut client = Client::dial(outside, to)?;
            ensure!(client.is_direct()?, "{to}: it sees {}", client.seen);
            ensure!(
                client.stream().peer_addr()? == to,
                "the client sees the node"
            );
            client.echo(&"x".repeat(100_000))?;
            who.push(client.who.clone());
        }
        let others = who.iter().filter(|name| *name == "b").count();
        ensure!(others == 10, "{to}: {others} of 100");
        ensure_nine_of_ten(&who)?;
    }
    ensure!(ground.stage.reason("drawn")? >= 200);
    ensure!(links(lab)? >= 2, "both programs are at the uplink");
    let listed = ground.stage.steer(&["get", "routes"])?;
    let of_door = |line: &&str| line.starts_with("30432 ") && line.contains("192.0.2.1 ");
    let row = listed.lines().find(of_door);
    let row: Vec<&str> = row
        .with_context(|| format!("the door is listed: {listed}"))?
        .split_whitespace()
        .collect();
    let expected = ["outside", "connect", "a=90:90", "b=10:10", "100", "0"];
    ensure!(row.ends_with(&expected), "{listed}");
    // Pods that dial the node come by no uplink: the agent serves them.
    let to = SocketAddr::new(Network::default().pod_gateway.into(), DOOR);
    let client = Client::dial(ground.stage.client()?, to)?;
    ensure!(
        !client.is_direct()?,
        "a pod of the node is served by the agent"
    );
    Ok(())
}

fn outlive() -> Result<()> {
    let Ground { stage, databases } = with_pods("outlive", [1, 0])?;
    let Stage { agent, lab } = stage;
    let outside = lab.pod(topology::OUTSIDE)?;
    let mut first = Client::dial(outside, node(DOOR))?;
    ensure!(first.who == "a" && first.is_direct()?);
    agent.kill()?;
    first.echo("killed")?;
    let mut while_away = Client::dial(outside, node(DOOR))?;
    ensure!(while_away.who == "a" && while_away.is_direct()?);
    let agent = lab.agent()?;
    let stage = Stage { agent, lab };
    let outside = stage.lab.pod(topology::OUTSIDE)?;
    first.echo("back")?;
    while_away.echo("back")?;
    stage.configure("rules.yaml", &rules([0, 1]))?;
    let mut second = Client::dial(outside, node(DOOR))?;
    ensure!(second.who == "b" && second.is_direct()?, "{}", second.who);
    first.echo("weights")?;
    // Without the gateway its port is closed, and connections go on.
    stage.configure("gateway.yaml", "")?;
    for open in [&mut first, &mut while_away, &mut second] {
        open.echo("gone")?;
    }
    let refused = Client::dial(outside, node(DOOR));
    ensure!(refused.is_err(), "nobody listens");
    ensure!(links(&stage.lab)? >= 2, "connections are open");
    drop((first, while_away, second));
    eventually("the programs to rest", || Ok(links(&stage.lab)? == 0))?;
    drop(databases);
    Ok(())
}

fn used_again() -> Result<()> {
    let ground = with_pods("again", [90, 10])?;
    let outside = ground.stage.lab.pod(topology::OUTSIDE)?;
    let from = SocketAddr::new(topology::OUTSIDE_V4.into(), 5000);
    let mut who = Vec::new();
    for _ in 0..50 {
        let client = Client::new(dial_from(outside, from, node(DOOR))?)?;
        ensure!(client.seen == from, "it sees {}", client.seen);
        who.push(client.who.clone());
    }
    ensure_nine_of_ten(&who)?;
    // The same port to the endpoint itself: its answers are its own.
    for address in [A, B] {
        let to = SocketAddr::new(address.into(), PORT);
        let mut client = Client::new(dial_from(outside, from, to)?)?;
        ensure!(client.stream().peer_addr()? == to);
        client.echo("direct")?;
    }
    Ok(())
}

/// Two connections from one port of a client, by two ports of the node, to the one endpoint: it could not
/// tell them apart.
fn one_of_a_kind() -> Result<()> {
    let ground = with_pods("kind", [1, 0])?;
    let outside = ground.stage.lab.pod(topology::OUTSIDE)?;
    let from = SocketAddr::new(topology::OUTSIDE_V4.into(), 5001);
    let mut first = Client::new(dial_from(outside, from, node(DOOR))?)?;
    ensure!(first.seen == from);
    let mut second = Client::new(dial_from(outside, from, node(OTHER_DOOR))?)?;
    ensure!(second.seen != from, "the agent took it");
    first.echo("one")?;
    second.echo("two")?;
    ensure!(ground.stage.reason("edge_taken")? >= 1);
    // Once the first is over, its port is free.
    drop(first);
    drop(second);
    let again = Client::new(dial_from(outside, from, node(OTHER_DOOR))?)?;
    ensure!(again.seen == from, "it sees {}", again.seen);
    Ok(())
}

fn elsewhere() -> Result<()> {
    let ground = raise("elsewhere", [1, 1], [A.into(), topology::OUTSIDE_V4.into()])?;
    let lab = &ground.stage.lab;
    let outside = lab.pod(topology::OUTSIDE)?;
    let mut who = Vec::new();
    for _ in 0..20 {
        let client = Client::dial(outside, node(DOOR))?;
        ensure!(!client.is_direct()?, "{} sees {}", client.who, client.seen);
        who.push(client.who.clone());
    }
    let others = who.iter().filter(|name| *name == "b").count();
    ensure!(others == 10, "{others} of 20");
    ensure!(links(lab)? == 0, "no program is at the uplink");
    Ok(())
}

/// An endpoint that may open no connection to the outside still answers those that come from there: servers
/// of pods, in their cgroups, as the guard wants them.
fn guarded() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("guarded"))?;
    for name in ["catalog-v1", "catalog-v2"] {
        let server = Server {
            echo: true,
            ..Server::on_port(PORT)
        };
        server.start(lab.pod(name)?)?;
    }
    let stage = begin(lab, [90, 10], [A.into(), B.into()])?;
    let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
                data:\n  mesh: |-\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";
    stage.configure("mesh.yaml", mesh)?;
    let outside = stage.lab.pod(topology::OUTSIDE)?;
    let before = stage.reason("drawn")?;
    for to in [node(DOOR), node_v6(DOOR)] {
        let mut of_second = 0;
        for _ in 0..20 {
            // This one says at which of its addresses it was reached.
            let mut client = Client::dial(outside, to)?;
            ensure!(client.seen.port() == PORT, "{}", client.seen);
            client.echo("allowed")?;
            of_second += u32::from(client.who == "catalog-v2");
        }
        ensure!(of_second == 2, "{to}: {of_second} of 20");
    }
    ensure!(stage.reason("drawn")? >= before + 40, "by the kernel");
    Ok(())
}
