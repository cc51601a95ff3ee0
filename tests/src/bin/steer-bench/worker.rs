//! A client that dials on command. It reads a line, works, and answers with a line:
//!
//! `tcp TARGET COUNT`: the medians of connect, and of connect with the first byte, in ns.
//! `dns RESOLVER COUNT`: the median from question to answer, in ns.
//! `serve NAME PORT`: serves HTTP from then on; `ready`.
//! `requests TARGET COUNT CLIENTS`: what came of so many requests, as JSON.
//! `weighted TARGET COUNT CLIENTS`: the same, of a rule with weights.
//! `silent TARGET COUNT`: asks on so many connections, and reads no answer until this ends; `done`.
//! `udp COUNT FIRST SERVICES STEP`: connects a UDP socket to `SERVICES` services from the `FIRST` on,
//! each time to one `STEP` further.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::{
    egress, images,
    report::median,
    requests::{self, client::By},
};

pub(crate) fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    let mut silent = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["tcp", target, count] => {
                let (connect, first) = tcp(target.parse()?, count.parse()?)?;
                format!("{connect} {first}")
            }
            ["dns", resolver, count] => dns(resolver.parse()?, count.parse()?)?.to_string(),
            ["udp", count, first, services, step] => {
                let (first, services) = (first.parse()?, services.parse()?);
                udp(count.parse()?, first, services, step.parse()?)?;
                "done".to_owned()
            }
            ["serve", name, port] => {
                requests::server::start(name, port.parse()?)?;
                "ready".to_owned()
            }
            [what @ ("requests" | "weighted"), target, count, clients] => {
                let by = if what == "weighted" {
                    By::Weights
                } else {
                    By::Header
                };
                let (count, clients) = (count.parse()?, clients.parse()?);
                let found = requests::client::run(target.parse()?, by, count, clients)?;
                serde_json::to_string(&found)?
            }
            ["silent", target, count] => {
                silent.extend(requests::client::silent(target.parse()?, count.parse()?)?);
                "done".to_owned()
            }
            _ => bail!("an unknown command: {line}"),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn tcp(target: SocketAddr, count: usize) -> Result<(f64, f64)> {
    let (mut connects, mut firsts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let started = Instant::now();
        let mut stream = TcpStream::connect(target).with_context(|| format!("dial {target}"))?;
        connects.push(nanos(started));
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .with_context(|| format!("hear from {target}"))?;
        firsts.push(nanos(started));
        // Reset instead of TIME_WAIT: ports do not run out.
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, sockopt::Linger, &at_once)?;
    }
    Ok((median(&connects), median(&firsts)))
}

fn dns(resolver: SocketAddr, count: usize) -> Result<f64> {
    let mut took = Vec::with_capacity(count);
    let mut answer = [0; 512];
    for id in 0..u16::try_from(count)? {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(resolver)?;
        let question = egress::message(1, id, 0);
        let started = Instant::now();
        socket.send(&question)?;
        let length = socket.recv(&mut answer).context("hear from the resolver")?;
        took.push(nanos(started));
        ensure!(length > question.len(), "the resolver knows no such name");
    }
    Ok(median(&took))
}

fn nanos(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e9
}

fn udp(count: u32, first: u32, services: u32, step: u32) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut number = services / 2;
    for _ in 0..count {
        let address = images::address(first + number);
        socket
            .connect((address, 80))
            .with_context(|| format!("connect to {address}"))?;
        number = (number + step) % services;
    }
    Ok(())
}
