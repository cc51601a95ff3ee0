//! Hosts reach each other, and only as they should.

use std::{
    env,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{
    client::{Call, Storm},
    harness::test,
    lab::{HostSpec, Lab},
    pod::Pod,
    server::http,
    topology,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "wiring::pods_reach_each_other_over_both_families",
            reach_each_other,
        ),
        test(
            "wiring::service_addresses_are_unreachable_without_steering",
            unreachable,
        ),
        test("wiring::commands_run_inside_the_pod", inside),
        test("wiring::two_labs_stand_side_by_side", side_by_side),
        test("wiring::hosts_can_join_later", join_later),
    ]
}

fn reach_each_other() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("reach"))?;
    let client = lab.pod("client")?;
    for (pod, port) in [
        ("catalog-v1", 3000),
        ("catalog-v2", 3000),
        ("webapp", 8080),
        ("outside", 80),
    ] {
        let server = lab.pod(pod)?;
        for address in [server.v4()?, server.v6()?] {
            let url = format!("http://{}/items", SocketAddr::new(address, port));
            let answer = http::get(client, &url)?;
            ensure!(
                answer == http::Answer::of(server),
                "{url} answered {answer:?}"
            );
        }
    }
    // And the other way: outside knows the way back in.
    let webapp = SocketAddr::new(lab.pod("webapp")?.v4()?, 8080);
    let answer = http::get(lab.pod("outside")?, &format!("http://{webapp}/"))?;
    ensure!(answer.pod == "webapp", "outside got {answer:?}");
    Ok(())
}

fn unreachable() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("unsteered"))?;
    for (service, error) in [
        ("10.200.1.92:80", "EHOSTUNREACH"),
        ("[fd00:200:1::92]:80", "ENETUNREACH"),
    ] {
        let attempts = Storm::new(service.parse()?, 2).run(lab.pod("client")?)?;
        ensure!(
            attempts.len() == 2,
            "{} attempts were reported",
            attempts.len()
        );
        for attempt in attempts {
            ensure!(attempt.failed == Some(Call::Connect), "{attempt:?}");
            ensure!(attempt.outcome() == error, "{attempt:?}");
        }
    }
    Ok(())
}

fn inside() -> Result<()> {
    let lab = topology::bookstore(&Lab::fresh_name("inside"))?;
    let webapp = lab.pod("webapp")?;
    ensure!(webapp.run("hostname", &[""; 0])?.trim() == "webapp");
    let cgroup = webapp.run("cat", &["/proc/self/cgroup"])?;
    let own = format!("/steer-lab-{}/cluster/webapp", lab.name());
    ensure!(
        cgroup
            .lines()
            .any(|line| line.starts_with("0::") && line.ends_with(&own)),
        "{cgroup}"
    );
    let resolv = webapp.run("cat", &["/etc/resolv.conf"])?;
    ensure!(resolv.contains("nameserver 10.200.1.10"), "{resolv}");
    ensure!(
        resolv.contains("search istioinaction.svc.cluster.local"),
        "{resolv}"
    );
    let directory = webapp.run("pwd", &[""; 0])?;
    ensure!(
        directory.trim() == env::current_dir()?.to_string_lossy(),
        "{directory}"
    );
    ensure!(cgroup_of(lab.pod("outside")?)?.contains("/outside/outside"));
    ensure!(cgroup_of(lab.node()?)?.contains("/cluster/node"));
    Ok(())
}

fn cgroup_of(host: &Pod) -> Result<String> {
    host.run("cat", &["/proc/self/cgroup"])
}

fn side_by_side() -> Result<()> {
    let one = topology::bookstore(&Lab::fresh_name("one"))?;
    let two = topology::bookstore(&Lab::fresh_name("two"))?;
    for (lab, requests) in [(&one, 2), (&two, 3)] {
        let answers = http::get_each(lab.pod("client")?, "http://10.10.0.12:3000/", requests)?;
        ensure!(answers.len() == requests);
    }
    for (lab, requests) in [(&one, 2), (&two, 3)] {
        let seen = http::requests(lab.pod("catalog-v1")?, requests)?;
        ensure!(
            seen.len() == requests,
            "the server of {} saw {seen:?}",
            lab.name()
        );
    }
    drop(one);
    let answer = http::get(two.pod("client")?, "http://10.10.0.12:3000/")?;
    ensure!(
        answer.pod == "catalog-v1",
        "the other lab went with the first"
    );
    Ok(())
}

fn join_later() -> Result<()> {
    let first: [IpAddr; 1] = [[10, 10, 0, 30].into()];
    let mut lab = Lab::builder(&Lab::fresh_name("join"))
        .host(HostSpec::pod("first", first))
        .build()?;
    let many = (1..=40u8).map(|last| IpAddr::from([10, 10, 7, last]));
    let late = lab.add(HostSpec::pod("a-pod-with-many-addresses", many))?;
    http::start(late, 8000)?;
    for last in [1, 40] {
        let answer = http::get(lab.pod("first")?, &format!("http://10.10.7.{last}:8000/"))?;
        ensure!(answer.pod == "a-pod-with-many-addresses", "{answer:?}");
    }
    let twice = lab
        .add(HostSpec::pod("first", first))
        .map(|pod| pod.name().to_owned());
    ensure!(twice.is_err(), "two hosts of one name");
    Ok(())
}
