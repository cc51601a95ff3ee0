//! Connections that stay open, and their bytes: looked at now and then, on a thread of its own.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use steer_common::{connection::Connection, egress::PolicyId};

use super::{names::Names, no_thread};
use crate::{
    kernel::{KernelError, OpenConnections, Pins, heartbeat::now_ns},
    node::{connections::Insider, sockets::Sockets},
    telemetry::Meter,
};

/// How often they are looked at, as Istio's proxies report TCP (`tcpReportingDuration`).
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// A connection that is younger is left to the record of its end.
const LASTS_NS: u64 = 1_000_000_000;

/// What is to be looked at.
struct Wanted {
    /// Namespaces, by their cookies.
    insiders: BTreeMap<u64, Insider>,
    policies: BTreeMap<u64, PolicyId>,
}

/// The thread.
pub(super) struct Sampler {
    wanted: Sender<Wanted>,
}

impl Sampler {
    pub(super) fn start(pins: &Pins, meter: Meter) -> Result<Self, KernelError> {
        let (wanted, news) = channel();
        let eye = Eye {
            open: OpenConnections::open(pins)?,
            names: Names::open(pins)?,
            sockets: Sockets::default(),
            meter,
        };
        thread::Builder::new()
            .name("steer-sampler".to_owned())
            .spawn(move || eye.run(&news))
            .map_err(no_thread)?;
        Ok(Self { wanted })
    }

    /// Looks at these from now on.
    pub(super) fn follow(
        &self,
        insiders: BTreeMap<u64, Insider>,
        policies: BTreeMap<u64, PolicyId>,
    ) {
        // The thread ends only with this.
        let _ended = self.wanted.send(Wanted { insiders, policies });
    }
}

struct Eye {
    open: OpenConnections,
    names: Names,
    sockets: Sockets,
    meter: Meter,
}

impl Eye {
    fn run(mut self, news: &Receiver<Wanted>) {
        let mut due = Instant::now() + SAMPLE_EVERY;
        loop {
            match news.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(wanted) => self.follow(wanted),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    due = Instant::now() + SAMPLE_EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn follow(&mut self, wanted: Wanted) {
        self.names.follow(wanted.policies);
        if let Err(error) = self.sockets.follow(&wanted.insiders) {
            tracing::warn!(%error, "open connections are counted when they close");
        }
    }

    fn look(&self) {
        self.meter.counted().look();
        let young = now_ns().saturating_sub(LASTS_NS);
        let all = self.open.all();
        let lasting = all.filter(|(_, found)| found.opened_ns < young);
        let samples: Vec<Connection> = lasting
            .filter_map(|(socket, found)| self.sample(socket, found))
            .collect();
        let mut counted = self.meter.counted();
        let is_sampled = |namespace| self.sockets.has(namespace);
        counted.sampled(&samples, is_sampled, |found| self.names.of(found));
    }

    /// One of them with its bytes, if it is open still.
    fn sample(&self, socket: u64, found: Connection) -> Option<Connection> {
        let (local, remote) = (found.local.to_socket_addr(), found.remote.to_socket_addr());
        let open = self.sockets.one(found.namespace, local, remote, socket)?;
        // Where one end has said that it sends no more, that counts as a byte: the record of the end has
        // it right.
        let stands = open.state == "ESTAB";
        let of = |bytes: u64| if stands { bytes } else { 0 };
        Some(Connection {
            // The SYN counts as one.
            sent: of(open.sent.saturating_sub(1)),
            received: of(open.received),
            ..found
        })
    }
}
