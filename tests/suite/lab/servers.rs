//! The servers and the client that other tests count on.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    client::{Manner, Storm, Until, tally},
    harness::test,
    lab::{HostSpec, Lab},
    manifest::Manifest,
    server::{http, identity::Server},
    topology,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("servers::names_resolve", names_resolve),
        test("servers::identity_over_every_family_and_manner", every_way),
        test("servers::a_storm_reports_each_attempt", storm),
        test("servers::a_storm_ends_when_told", told),
        test("servers::a_web_server_calls_others", calls_others),
        test("servers::clusters_of_identity_servers", identity_clusters),
    ]
}

fn names_resolve() -> Result<()> {
    let name = Lab::fresh_name("names");
    // Without an agent nobody steers the address of the service kube-dns: ask its pod.
    let lab = topology::bookstore_with(&name, |lab| lab.nameserver([10, 10, 0, 2].into()))?;
    let client = lab.pod("client")?;
    for (name, v4, v6) in [
        ("catalog", "10.200.1.92", "fd00:200:1::92"),
        ("catalog.istioinaction", "10.200.1.92", "fd00:200:1::92"),
        (
            "forum.istioinaction.svc.cluster.local",
            "10.200.1.94",
            "fd00:200:1::94",
        ),
        ("kube-dns.kube-system", "10.200.1.10", "fd00:200:1::10"),
        (topology::OUTSIDE_NAME, "192.0.2.10", "2001:db8::10"),
    ] {
        for (database, expected) in [("ahostsv4", v4), ("ahostsv6", v6)] {
            let answer = client.run("getent", &[database, name])?;
            ensure!(
                answer.starts_with(&format!("{expected} ")),
                "{name} is {answer}"
            );
        }
    }
    for name in ["nothing", "catalog.kube-system", "www.example.com"] {
        let found = client.run("getent", &["ahosts", name]);
        // 2: the name was not found, as opposed to nobody answering.
        let error = found
            .err()
            .with_context(|| format!("{name} should not exist"))?;
        ensure!(
            error.to_string().contains("exit status: 2"),
            "{name}: {error:#}"
        );
    }
    Ok(())
}

/// A server that has two addresses of each family, and a client.
fn pair(purpose: &str) -> Result<Lab> {
    let addresses = ["10.10.1.1", "10.10.1.2", "fd00:10::1:1", "fd00:10::1:2"];
    let addresses: Vec<IpAddr> = addresses
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let client = ["10.10.1.9", "fd00:10::1:9"];
    let client: Vec<IpAddr> = client
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let lab = Lab::builder(&Lab::fresh_name(purpose))
        .host(HostSpec::pod("server", addresses))
        .host(HostSpec::pod("client", client))
        .build()?;
    Server::on_port(7000).start(lab.pod("server")?)?;
    Ok(lab)
}

fn every_way() -> Result<()> {
    let lab = pair("ways")?;
    let ways = lab
        .pod("server")?
        .record()
        .addresses
        .iter()
        .flat_map(|address| {
            let mapped: &[bool] = if address.is_ipv4() {
                &[false, true]
            } else {
                &[false]
            };
            mapped.iter().map(move |mapped| (*address, *mapped))
        });
    for (address, mapped) in ways {
        for manner in [Manner::Tcp, Manner::Udp, Manner::UdpConnected] {
            let target = SocketAddr::new(address, 7000);
            let storm = Storm {
                manner,
                mapped,
                ..Storm::new(target, 2)
            };
            for attempt in storm.run(lab.pod("client")?)? {
                ensure!(attempt.outcome() == "server", "{attempt:?}");
                ensure!(attempt.endpoint() == Some(target), "{attempt:?}");
                // Over UDP as well, the answer comes from the address that was asked.
                let peer = attempt.peer.context("a peer")?;
                ensure!(
                    peer.ip().to_canonical() == address && peer.port() == 7000,
                    "{attempt:?}"
                );
                ensure!(
                    peer.ip().is_ipv4() == (address.is_ipv4() && !mapped),
                    "{attempt:?}"
                );
            }
        }
    }
    Ok(())
}

fn storm() -> Result<()> {
    let lab = pair("storm")?;
    let targets = vec![
        "10.10.1.1:7000".parse()?,
        "10.10.1.2:7000".parse()?,
        "10.10.1.1:7001".parse()?,
    ];
    let storm = Storm {
        targets: targets.clone(),
        threads: 2,
        ..Storm::new(targets[0], 3000)
    };
    let attempts = storm.run(lab.pod("client")?)?;
    let counts = tally(&attempts);
    ensure!(counts.get("server") == Some(&4000), "{counts:?}");
    ensure!(counts.get("ECONNREFUSED") == Some(&2000), "{counts:?}");
    for thread in 0..2 {
        let own: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.thread == thread)
            .collect();
        ensure!(own.len() == 3000);
        for (n, pair) in (0..).zip(own.windows(2)) {
            ensure!(pair[0].n == n && pair[0].target == targets[usize::try_from(n)? % 3]);
            ensure!(
                pair[0].start_ns + pair[0].total_ns <= pair[1].start_ns,
                "{pair:?}"
            );
        }
    }
    Ok(())
}

/// Attempts of a client in a second.
const RATE: u32 = 500;

fn told() -> Result<()> {
    let lab = pair("told")?;
    let target = "10.10.1.1:7000".parse()?;
    let endless = Storm {
        until: Until::Told,
        rate: Some(RATE),
        ..Storm::new(target, 0)
    };
    ensure!(endless.run(lab.pod("client")?).is_err(), "it would not end");
    let started = Instant::now();
    let running = endless.start(lab.pod("client")?)?;
    thread::sleep(Duration::from_millis(400));
    let attempts = running.finish()?;
    let elapsed = started.elapsed();
    // 200 if the machine keeps up, and sleeps no longer than it is told; never more than the rate allows in the
    // time that it did take, and the one that begins it.
    let most = u128::from(RATE) * elapsed.as_millis() / 1000 + 1;
    let made = u128::try_from(attempts.len())?;
    ensure!(
        (20..=most).contains(&made),
        "{made} attempts in {elapsed:?}"
    );
    ensure!(attempts.iter().all(|attempt| attempt.outcome() == "server"));
    Ok(())
}

fn calls_others() -> Result<()> {
    // No names and no services: an address in the environment is called as it is.
    let text = r"
kind: Pod
metadata: {name: front, namespace: test, labels: {app: front}}
spec:
  containers:
    - image: nginx
      ports: [{containerPort: 8080}]
      env:
        - {name: BACK_SERVICE_HOST, value: 10.10.1.2}
        - {name: BACK_SERVICE_PORT, value: '3000'}
status: {podIPs: [{ip: 10.10.1.1}]}
---
kind: Pod
metadata: {name: back, namespace: test, labels: {app: back, version: v7}}
spec: {containers: [{image: 'registry.test/nginx:1.22', ports: [{containerPort: 3000}]}]}
status: {podIPs: [{ip: 10.10.1.2}]}
";
    let manifest = Manifest::parse(text, "cluster.local")?;
    let lab = topology::raise(&Lab::fresh_name("front"), &manifest, |builder| builder)?;
    let outside = lab.pod(topology::OUTSIDE)?;
    let own = http::get(outside, "http://10.10.1.1:8080/items")?;
    ensure!(own.app == "front", "{own:?}");
    let answers = http::get_each(outside, "http://10.10.1.1:8080/api/back", 3)?;
    ensure!(answers.len() == 3 && answers.iter().all(|answer| answer.version == "v7"));
    let seen = http::requests(lab.pod("back")?, 3)?;
    ensure!(
        seen.len() == 3 && seen.iter().all(|line| line.starts_with("10.10.1.1 ")),
        "{seen:?}"
    );
    Ok(())
}

fn identity_clusters() -> Result<()> {
    let bookstore = topology::bookstore_for_storms(&Lab::fresh_name("storms"))?;
    let target = "10.10.0.13:3000".parse()?;
    let attempts = Storm::new(target, 100).run(bookstore.pod("client")?)?;
    ensure!(
        tally(&attempts).get("catalog-v2") == Some(&100),
        "{:?}",
        tally(&attempts)
    );
    let echo = topology::echo(&Lab::fresh_name("echo"))?;
    for manner in [Manner::Tcp, Manner::Udp] {
        let storm = Storm {
            manner,
            ..Storm::new("[fd00:10::31]:7000".parse()?, 10)
        };
        let attempts = storm.run(echo.pod("client")?)?;
        ensure!(
            tally(&attempts).get("echo-v1") == Some(&10),
            "{:?}",
            tally(&attempts)
        );
    }
    ensure!(echo.dirs().config().join("cluster.yaml").exists());
    Ok(())
}
