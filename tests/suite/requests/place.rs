//! Who is looked at, and who can reach what looks.

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_common::service::REQUEST_PORT;
use steer_tests::{harness::test, need};

use crate::{
    clients::{INTERNAL, PUBLIC, both, curl, expected},
    stage::{COHORT, Stage, ensure_same},
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "place::who_has_no_listener_takes_the_catch_all",
            nobody_listens,
        ),
        test(
            "place::sockets_that_cannot_reach_loopback_take_the_catch_all",
            bound,
        ),
        test(
            "place::nobody_outside_the_pod_reaches_its_listener",
            unreachable,
        ),
        test("place::what_may_be_reached_stays_so", egress),
    ]
}

const CATALOG: &str = "http://10.200.1.92/items";

/// The node's own processes are no pod's.
fn nobody_listens() -> Result<()> {
    let stage = Stage::raise("nobody", COHORT)?;
    let before = stage.reason("catch_all")?;
    let got = curl(
        stage.lab.node()?,
        CATALOG,
        &[INTERNAL, PUBLIC],
        &["-H", "Connection: close"],
    )?;
    ensure!(got == ["v1", "v1"], "{got:?}");
    ensure!(stage.reason("catch_all")? == before + 2, "it is counted");
    Ok(())
}

fn bound() -> Result<()> {
    let stage = Stage::raise("bound", COHORT)?;
    let client = stage.client()?;
    let own = client.v4()?.to_string();
    for interface in [own.as_str(), "eth0"] {
        let got = curl(client, CATALOG, &[INTERNAL], &["--interface", interface])?;
        ensure!(got == ["v1"], "bound to {interface}: {got:?}");
    }
    // A socket that speaks IPv6 only cannot be connected to IPv4's loopback; one that speaks both can.
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_INET6)\n\
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[1]))\n\
        s.connect(('fd00:200:1::92', 80))\n\
        s.send(b'GET / HTTP/1.1\\r\\nHost: c\\r\\nx-istio-cohort: internal\\r\\nConnection: close\\r\\n\\r\\n')\n\
        print(s.makefile().read())\n";
    for (only, version) in [("0", "\"v2\""), ("1", "\"v1\"")] {
        let got = client.run("python3", &["-c", script, only])?;
        ensure!(got.contains(version), "IPV6_V6ONLY {only}: {got}");
    }
    Ok(())
}

/// Neither by the pod's address, nor by the loopback address of its listener, sent there on purpose.
fn unreachable() -> Result<()> {
    let stage = Stage::raise("unreachable", COHORT)?;
    let (client, other) = (stage.client()?, stage.lab.pod("webapp")?);
    let listening = client.run("ss", &["-Htln"])?;
    let listener = listening
        .split_whitespace()
        .find(|word| word.ends_with(&format!(":{REQUEST_PORT}")) && word.starts_with("127."))
        .with_context(|| format!("nothing listens: {listening}"))?;
    ensure!(
        !listening.contains(&format!("0.0.0.0:{REQUEST_PORT}")),
        "{listening}"
    );
    let (address, _) = listener.split_once(':').context("it has an address")?;
    let own = client.v4()?.to_string();
    other.run("sysctl", &["-qw", "net.ipv4.conf.all.route_localnet=1"])?;
    let ip = need::find("ip")?;
    let ip = ip.to_str().context("it has a path")?;
    other.run(
        ip,
        &[
            "route",
            "del",
            "local",
            "127.0.0.0/8",
            "dev",
            "lo",
            "table",
            "local",
        ],
    )?;
    other.run(
        ip,
        &[
            "route",
            "add",
            &format!("{address}/32"),
            "via",
            &own,
            "onlink",
            "dev",
            "eth0",
        ],
    )?;
    for target in [own.as_str(), address] {
        let url = format!("http://{target}:{REQUEST_PORT}/items");
        let reached = other.run("curl", &["-sS", "--max-time", "2", &url]);
        ensure!(reached.is_err(), "{target} answers: {reached:?}");
    }
    // From inside it answers.
    let got = client.run(
        "curl",
        &[
            "-sS",
            "--max-time",
            "2",
            &format!("http://{listener}/items"),
        ],
    )?;
    ensure!(got.contains("v1"), "{got}");
    Ok(())
}

/// Only what the registry names is reached, by requests that are looked at too.
fn egress() -> Result<()> {
    let stage = Stage::raise("egress", COHORT)?;
    let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
                data:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";
    stage.configure("mesh.yaml", mesh)?;
    let client = stage.client()?;
    let outside = client.run("curl", &["-sS", "--max-time", "3", "http://192.0.2.11/"]);
    ensure!(outside.is_err(), "{outside:?}");
    let cohorts = both(10);
    let got = curl(client, CATALOG, &cohorts, &[])?;
    ensure_same("curl", &got, &expected(&cohorts))
}
