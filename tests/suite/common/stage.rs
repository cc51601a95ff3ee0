//! A lab with an engine: a server that has several addresses, and clients that are steered.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use steer::{
    control::{Applied, Engine, EngineSettings},
    image::Image,
    kernel::{KernelSettings, Pins},
    live::Live,
    plan::Capacity,
};
use steer_tests::{
    lab::{HostSpec, Lab},
    pod::Pod,
    server::identity::Server,
};

/// Where the server of every stage listens, over TCP and UDP.
pub(crate) const PORT: u16 = 7000;
/// How many services fit.
const SERVICES: u32 = 100;

/// A lab and the engine that steers its pods.
pub(crate) struct Stage {
    // Before the lab: the pins go with the lab's file system.
    engine: Option<Engine>,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Raises a server with `endpoints` addresses of each family, and two clients; starts the engine
    /// with nothing to steer.
    pub(crate) fn raise(purpose: &str, endpoints: u8) -> Result<Self> {
        let addresses = (1..=endpoints).flat_map(|number| [v4(number).ip(), v6(number).ip()]);
        let client = |name, number| HostSpec::pod(name, client_addresses(number));
        let lab = Lab::builder(&Lab::fresh_name(purpose))
            .host(HostSpec::pod("server", addresses))
            .host(client("client", 1))
            .host(client("other", 2))
            .build()?;
        Server::on_port(PORT).start(lab.pod("server")?)?;
        let mut stage = Self { engine: None, lab };
        stage.start()?;
        Ok(stage)
    }

    /// What an engine of this lab needs.
    pub(crate) fn settings(&self) -> EngineSettings {
        let dirs = self.lab.dirs();
        EngineSettings {
            kernel: KernelSettings {
                pins: Pins::new(dirs.pins()),
                cgroup: dirs.cluster_cgroup().path().to_owned(),
                capacity: Capacity::for_services(SERVICES),
            },
            state: dirs.state(),
        }
    }

    /// Starts an engine on the lab's pins; one that runs ends before.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.end();
        self.engine = Some(Engine::start(self.settings())?);
        Ok(())
    }

    /// Ends the engine. What it pinned stays in force.
    pub(crate) fn end(&mut self) {
        self.engine = None;
    }

    /// The engine.
    pub(crate) fn engine(&mut self) -> Result<&mut Engine> {
        self.engine.as_mut().context("the engine runs")
    }

    /// Puts an image in force.
    pub(crate) fn put(&mut self, image: &Image) -> Result<Applied> {
        Ok(self.engine()?.apply(image)?)
    }

    /// What the kernel holds.
    pub(crate) fn live(&mut self) -> Result<Live> {
        Ok(self.engine()?.kernel().maps().read()?)
    }

    /// The first client.
    pub(crate) fn client(&self) -> Result<&Pod> {
        self.lab.pod("client")
    }

    /// The second client.
    pub(crate) fn other(&self) -> Result<&Pod> {
        self.lab.pod("other")
    }
}

/// An IPv4 address of the server, by its number.
pub(crate) fn v4(number: u8) -> SocketAddr {
    ([10, 10, 2, number], PORT).into()
}

/// An IPv6 address of the server, by its number.
pub(crate) fn v6(number: u8) -> SocketAddr {
    ([0xfd00, 0x10, 0, 0, 0, 0, 2, number.into()], PORT).into()
}

fn client_addresses(number: u8) -> [IpAddr; 2] {
    [
        [10, 10, 3, number].into(),
        [0xfd00, 0x10, 0, 0, 0, 0, 3, number.into()].into(),
    ]
}
