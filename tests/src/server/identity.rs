//! `steer-lab-server`: says who it is, for hundreds of thousands of connections.
//!
//! On accept it sends one line, `IDENTITY LOCAL_ADDRESS`; over UDP it answers a datagram so.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{bins, pod::Pod};

/// Where a server listens and how it behaves.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// TCP addresses; an unspecified one of IPv6 hears both families.
    pub tcp: Vec<SocketAddr>,
    /// UDP addresses, likewise.
    pub udp: Vec<SocketAddr>,
    /// Echoes after the first line until the client ends; else closes at once.
    pub echo: bool,
}

impl Server {
    /// Hears everything that comes to `port`.
    pub fn on_port(port: u16) -> Self {
        let any = SocketAddr::from(([0u16; 8], port));
        Self {
            tcp: vec![any],
            udp: vec![any],
            echo: false,
        }
    }

    /// Starts it on `pod` under the pod's name.
    pub fn start(&self, pod: &Pod) -> Result<()> {
        let mut command = pod.command(bins::server()?)?;
        command.arg("--identity").arg(pod.name());
        for address in &self.tcp {
            command.arg("--tcp").arg(address.to_string());
        }
        for address in &self.udp {
            command.arg("--udp").arg(address.to_string());
        }
        if self.echo {
            command.arg("--echo");
        }
        pod.start("server", command)?;
        // A server has bound all its addresses before it listens on the first.
        self.tcp.first().map_or(Ok(()), |first| {
            pod.wait_until_listening(first.port(), "server")
        })
    }
}
