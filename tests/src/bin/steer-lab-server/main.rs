//! Says who it is: to each connection a line, `IDENTITY LOCAL_ADDRESS`, and to each datagram.

mod tcp;
mod udp;

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use steer_tests::exit;

/// Server of the lab.
#[derive(Clone, Debug, Parser)]
#[command(name = "steer-lab-server")]
struct Args {
    /// Its name
    #[arg(long)]
    identity: String,
    /// TCP address to listen on; `[::]:PORT` hears both families
    #[arg(long = "tcp", value_name = "ADDRESS:PORT")]
    tcp: Vec<SocketAddr>,
    /// UDP address to listen on; `[::]:PORT` hears both families
    #[arg(long = "udp", value_name = "ADDRESS:PORT")]
    udp: Vec<SocketAddr>,
    /// After the line, echo until the client ends; else close
    #[arg(long)]
    echo: bool,
}

fn main() -> ExitCode {
    exit::report("steer-lab-server", run())
}

fn run() -> Result<()> {
    let args = Args::parse();
    if args.tcp.is_empty() && args.udp.is_empty() {
        bail!("nothing to listen on: give --tcp or --udp");
    }
    // UDP is bound first: who can connect over TCP finds everything ready.
    let mut threads = Vec::new();
    for address in &args.udp {
        let socket = udp::bind(in_v6(*address)).with_context(|| format!("bind {address}"))?;
        let identity = args.identity.clone();
        threads.push(thread::spawn(move || udp::serve(&socket, &identity)));
    }
    let bound = args
        .tcp
        .iter()
        .map(|address| tcp::bind(in_v6(*address)).with_context(|| format!("bind {address}")));
    let bound: Vec<_> = bound.collect::<Result<_>>()?;
    for listener in bound {
        tcp::listen(&listener)?;
        let (identity, echo) = (args.identity.clone(), args.echo);
        threads.push(thread::spawn(move || {
            tcp::serve(&listener, &identity, echo)
        }));
    }
    for thread in threads {
        match thread.join() {
            Ok(served) => served?,
            Err(_) => bail!("a thread panicked"),
        }
    }
    Ok(())
}

/// One kind of socket for both families.
fn in_v6(address: SocketAddr) -> SocketAddrV6 {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddrV6::new(ip, address.port(), 0, 0)
}
