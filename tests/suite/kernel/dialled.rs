//! What was dialled is what a program is told, also by programs that nobody wrote for steer.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer::kernel::open_sockets;
use steer_common::addr::Proto;
use steer_tests::{client::Storm, harness::test, need, pod::Pod, server::http};

use crate::{
    check::{service, service_v4},
    common::{
        service::{Service, image},
        stage::{PORT, Stage, v4, v6},
    },
};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test("dialled::one_udp_socket_asks_several_services", udp_asks),
        test("dialled::a_udp_socket_connects_elsewhere", udp_connects),
        test(
            "dialled::a_disconnected_udp_socket_forgets",
            udp_disconnects,
        ),
        test("dialled::a_tcp_socket_dials_again", tcp_again),
        test("dialled::a_closed_tcp_socket_is_forgotten", tcp_closes),
        test("dialled::a_refused_udp_socket_keeps_its_peer", udp_refused),
        test("dialled::curl_sees_the_service", curl),
    ];
    // Not part of the machine's set-up: asked where they happen to be.
    for (runtime, name, run) in [
        (
            "node",
            "dialled::node_sees_the_service",
            node as fn() -> Result<()>,
        ),
        ("javac", "dialled::java_sees_the_service", java),
    ] {
        if need::find(runtime).is_ok() {
            tests.push(test(name, run));
        }
    }
    tests
}

/// Plays `steps` on one socket of a Python program in `pod`: each step, and what it must say.
fn play(pod: &Pod, kind: &str, steps: &[(String, String)]) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/kernel/sockets.py");
    let script = script.to_str().context("a path in UTF-8")?;
    let mut arguments = vec![script, kind];
    arguments.extend(steps.iter().map(|(step, _)| step.as_str()));
    let said: Vec<String> = serde_json::from_str(&pod.run("python3", &arguments)?)?;
    ensure!(said.len() == steps.len(), "{said:?}");
    for ((step, wanted), said) in steps.iter().zip(&said) {
        ensure!(said == wanted, "{kind}, {step}: {said}, not {wanted}");
    }
    Ok(())
}

fn step(step: impl Into<String>, wanted: impl Into<String>) -> (String, String) {
    (step.into(), wanted.into())
}

/// Three services of UDP in each family and two of TCP; the third leads nowhere.
fn stage(purpose: &str) -> Result<Stage> {
    let mut stage = Stage::raise(purpose, 3)?;
    let services = [true, false].into_iter().flat_map(|is_v4| {
        let endpoint = move |number| if is_v4 { v4(number) } else { v6(number) };
        [Proto::Udp, Proto::Tcp].into_iter().flat_map(move |proto| {
            [
                Service::new(proto, service(is_v4, 1)).to(1, &[endpoint(1)]),
                Service::new(proto, service(is_v4, 2)).to(1, &[endpoint(2)]),
                Service::new(proto, service(is_v4, 3)),
                // An endpoint where nobody listens.
                Service::new(proto, service(is_v4, 4)).to(1, &[closed(endpoint(1))]),
            ]
        })
    });
    stage.put(&image(services))?;
    Ok(stage)
}

fn closed(mut endpoint: SocketAddr) -> SocketAddr {
    endpoint.set_port(PORT + 1);
    endpoint
}

/// The families of a socket, how it writes an address, and the addresses of that family.
struct Face {
    kind: &'static str,
    is_v4: bool,
    mapped: bool,
}

const FACES: [Face; 3] = [
    Face {
        kind: "4",
        is_v4: true,
        mapped: false,
    },
    Face {
        kind: "6",
        is_v4: false,
        mapped: false,
    },
    Face {
        kind: "6",
        is_v4: true,
        mapped: true,
    },
];

impl Face {
    fn write(&self, address: SocketAddr) -> String {
        if self.mapped {
            format!("[::ffff:{}]:{}", address.ip(), address.port())
        } else {
            address.to_string()
        }
    }

    fn service(&self, number: u8) -> String {
        self.write(service(self.is_v4, number))
    }

    fn endpoint(&self, number: u8) -> String {
        self.write(self.address(number))
    }

    fn address(&self, number: u8) -> SocketAddr {
        if self.is_v4 { v4(number) } else { v6(number) }
    }

    /// What the server says at an endpoint.
    fn line(&self, number: u8) -> String {
        format!("server {}", self.address(number))
    }
}

fn udp_asks() -> Result<()> {
    let stage = stage("udp-asks")?;
    for face in FACES {
        let (one, two, plain) = (face.service(1), face.service(2), face.endpoint(3));
        let from = |number, name: &str| format!("{} from {name}", face.line(number));
        let steps = [
            step(format!("sendto {one}"), "ok"),
            step("recvfrom", from(1, &one)),
            step(format!("sendto {two}"), "ok"),
            step("recvmsg", from(2, &two)),
            step(format!("sendmsg {one}"), "ok"),
            step("recvmsg", from(1, &one)),
            step(format!("sendto {plain}"), "ok"),
            step("recvfrom", from(3, &plain)),
            step(format!("sendto {}", face.service(3)), "ECONNREFUSED"),
            step(format!("sendto {two}"), "ok"),
            step("recvfrom", from(2, &two)),
        ];
        play(stage.client()?, &format!("udp{}", face.kind), &steps)?;
    }
    Ok(())
}

/// `connect` to `AF_UNSPEC` passes no hook: what the socket dialled before must not colour what an
/// endpoint answers when it is asked by its own address.
fn udp_disconnects() -> Result<()> {
    let stage = stage("udp-disconnects")?;
    for face in FACES {
        let (one, plain) = (face.service(1), face.endpoint(1));
        let from = |name: &str| format!("{} from {name}", face.line(1));
        let steps = [
            step(format!("connect {one}"), "ok"),
            step("send", "ok"),
            step("recvfrom", from(&one)),
            step("disconnect", "ok"),
            step(format!("sendto {plain}"), "ok"),
            step("recvfrom", from(&plain)),
            step(format!("sendto {one}"), "ok"),
            step("recvfrom", from(&one)),
        ];
        play(stage.client()?, &format!("udp{}", face.kind), &steps)?;
    }
    Ok(())
}

fn udp_connects() -> Result<()> {
    let stage = stage("udp-connects")?;
    for face in FACES {
        let (one, two) = (face.service(1), face.service(2));
        let plain = face.endpoint(2);
        let visit = |name: &str, number| {
            [
                step(format!("connect {name}"), "ok"),
                step("peer", name),
                step("send", "ok"),
                step("recvfrom", format!("{} from {name}", face.line(number))),
            ]
        };
        // The last is the very endpoint that it was given before, dialled as it is.
        let mut steps = [
            visit(&one, 1),
            visit(&two, 2),
            visit(&plain, 2),
            visit(&one, 1),
        ]
        .concat();
        // Linux keeps the old peer of an IPv6 socket that is disconnected, steered or not.
        if face.kind == "4" {
            steps.extend([
                step("disconnect", "ok"),
                step("peer", "ENOTCONN"),
                step(format!("sendto {two}"), "ok"),
                step("recvfrom", format!("{} from {two}", face.line(2))),
            ]);
        }
        play(stage.client()?, &format!("udp{}", face.kind), &steps)?;
    }
    Ok(())
}

fn udp_refused() -> Result<()> {
    let stage = stage("udp-refused")?;
    for face in FACES {
        let one = face.service(1);
        let steps = [
            step(format!("connect {one}"), "ok"),
            step(format!("connect {}", face.service(3)), "ECONNREFUSED"),
            step("peer", one.clone()),
            step("send", "ok"),
            step("recvfrom", format!("{} from {one}", face.line(1))),
        ];
        play(stage.client()?, &format!("udp{}", face.kind), &steps)?;
    }
    Ok(())
}

/// A socket whose connection was refused, or ended, is used again.
fn tcp_again() -> Result<()> {
    let stage = stage("tcp-again")?;
    for face in FACES {
        let (one, two, plain) = (face.service(1), face.service(2), face.endpoint(2));
        let visit = |name: &str, number| {
            [
                step(format!("connect {name}"), "ok"),
                step("peer", name),
                step("recv", face.line(number)),
                step("disconnect", "ok"),
            ]
        };
        let refused = |name: String| [step(format!("connect {name}"), "ECONNREFUSED")];
        let steps = [
            &visit(&two, 2)[..],
            &visit(&plain, 2),
            &refused(face.service(4)),
            &visit(&plain, 2),
            &refused(face.service(3)),
            &visit(&one, 1),
        ]
        .concat();
        play(stage.client()?, &format!("tcp{}", face.kind), &steps)?;
    }
    Ok(())
}

/// Rows of closed sockets would push out those of open ones.
fn tcp_closes() -> Result<()> {
    const HOLD: &str = "
import socket, sys
sockets = [socket.create_connection(('10.200.1.1', 80)) for _ in range(3)]
sys.stdout.write('open\\n')
sys.stdout.flush()
sys.stdin.read()
";
    let stage = stage("tcp-closes")?;
    let client = stage.client()?;
    let rows = || open_sockets(&stage.settings().kernel.pins);
    Storm::new(service_v4(1), 250).run(client)?;
    ensure!(rows()? == 0, "{} closed sockets have rows", rows()?);
    let mut command = client.command("python3")?;
    command
        .args(["-c", HOLD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut holder = command.spawn().context("start the holder")?;
    let mut said = String::new();
    let stdout = holder.stdout.take().context("its output")?;
    BufReader::new(stdout).read_line(&mut said)?;
    let held = rows()?;
    drop(holder.stdin.take());
    let status = holder.wait()?;
    ensure!(said == "open\n" && status.success(), "{said}{status}");
    ensure!(held == 3, "3 open sockets have {held} rows");
    ensure!(rows()? == 0, "{} rows outlived their sockets", rows()?);
    Ok(())
}

fn curl() -> Result<()> {
    let mut stage = Stage::raise("curl", 1)?;
    http::start(stage.lab.pod("server")?, 8080)?;
    let services = [true, false].map(|is_v4| {
        let mut endpoint = if is_v4 { v4(1) } else { v6(1) };
        endpoint.set_port(8080);
        Service::new(Proto::Tcp, service(is_v4, 1)).to(1, &[endpoint])
    });
    stage.put(&image(services))?;
    for is_v4 in [true, false] {
        let dialled = service(is_v4, 1);
        let url = format!("http://{dialled}/");
        let seen = stage.client()?.run(
            "curl",
            &[
                "-sSg",
                "-m5",
                "-o/dev/null",
                "-w%{remote_ip} %{remote_port}",
                &url,
            ],
        )?;
        let wanted = format!("{} {}", dialled.ip(), dialled.port());
        ensure!(seen == wanted, "curl sees {seen}");
    }
    Ok(())
}

fn node() -> Result<()> {
    let mut stage = Stage::raise("node", 1)?;
    stage.put(&image([
        Service::new(Proto::Tcp, service_v4(1)).to(1, &[v4(1)])
    ]))?;
    let script = "
        const s = require('net').connect(80, '10.200.1.1');
        s.on('data', d => console.log(s.remoteAddress, s.remotePort, d.toString().trim()));
    ";
    let seen = stage.client()?.run("node", &["-e", script])?;
    let wanted = format!("10.200.1.1 80 server {}\n", v4(1));
    ensure!(seen == wanted, "node sees {seen}");
    Ok(())
}

/// Java dials IPv4 from sockets of IPv6.
fn java() -> Result<()> {
    let mut stage = Stage::raise("java", 1)?;
    stage.put(&image([
        Service::new(Proto::Tcp, service_v4(1)).to(1, &[v4(1)]),
        Service::new(Proto::Udp, service_v4(1)).to(1, &[v4(1)]),
    ]))?;
    let client = stage.client()?;
    let source = client.directory().join("Dial.java");
    fs::write(&source, include_str!("Dial.java"))?;
    let source = source.to_str().context("a path in UTF-8")?;
    let seen = client.run("java", &[source, "10.200.1.1", "80"])?;
    let wanted = format!(
        "/10.200.1.1:80 server {endpoint}\n/10.200.1.1:80 server {endpoint}\n",
        endpoint = v4(1)
    );
    ensure!(seen == wanted, "Java sees {seen}");
    Ok(())
}
