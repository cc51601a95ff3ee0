//! A page for browsers: who talks with whom now, which share each version gets, and what is refused.
//!
//! ```text
//! /graph.json of agents  ->  Board: a window of samples for each  ->  Picture as JSON  ->  page
//! ```
//!
//! Agents are asked only while somebody looks at the page.

mod agents;
mod board;
mod events;
mod page;
mod server;

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;

pub use agents::Agents;
use board::Board;
use events::Events;

/// What is asked of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is served.
    pub listen: SocketAddr,
    /// Which agents are shown.
    pub agents: Agents,
    /// Of how long a while shares and rates are.
    pub window: Duration,
}

/// The page, before it is served.
pub struct Dashboard {
    listener: TcpListener,
    settings: Settings,
}

impl Dashboard {
    /// Listens.
    pub async fn bind(settings: Settings) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(settings.listen).await?,
            settings,
        })
    }

    /// Where it is.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves it until the process ends.
    pub async fn serve(self) -> io::Result<()> {
        let address = self.address()?;
        let events = match &self.settings.agents {
            Agents::Local { state } => Events::follow(state),
            Agents::Remote(_) => Events::default(),
        };
        let board = Board::new(self.settings.agents, self.settings.window, events);
        server::serve(self.listener, address, board).await;
        Ok(())
    }
}
