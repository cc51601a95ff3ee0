//! Counting, and telling of it: what the kernel and the proxy report goes to `telemetry`, and whoever
//! scrapes gets its text.

mod names;
mod sampler;
mod scrape;
mod server;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use steer_common::connection::Connection;

use super::refusals::Refusal;
use crate::{
    desired::Desired,
    kernel::{KernelError, Pins, heartbeat::now_ns},
    node::discover::Scan,
    plan::Layout,
    source::Snapshot,
    telemetry::{Counted, Directory, Meter, Recent, Ruled, SERIES_MAX, Standing, Target},
};
use names::Names;
use sampler::Sampler;
use scrape::Scraper;

/// How metrics are told.
#[derive(Clone, Debug)]
pub struct MetricsSettings {
    /// Where they can be asked for.
    pub address: SocketAddr,
    /// The name of the cluster, as labels have it.
    pub cluster: String,
}

/// Counts, on the agent's side.
pub(super) struct Metrics {
    settings: MetricsSettings,
    meter: Meter,
    standing: Shared,
    sampler: Sampler,
    names: Names,
}

/// A thread could not be started.
fn no_thread(source: io::Error) -> KernelError {
    KernelError::Io {
        action: "starting a thread for",
        path: "/metrics".into(),
        source,
    }
}

/// How the agent stands, for the thread that answers scrapes.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Standing>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Starts to count, and to answer scrapes. Connections that the proxy `made` are counted by their
    /// requests.
    pub(super) fn start(
        settings: MetricsSettings,
        pins: &Pins,
        made: Recent,
    ) -> Result<Self, KernelError> {
        let meter = Meter::new(Counted::new(SERIES_MAX, made, now_ns()));
        let standing = Shared::default();
        let scraper = Scraper {
            pins: pins.clone(),
            meter: meter.clone(),
            standing: standing.clone(),
        };
        server::start(settings.address, scraper).map_err(no_thread)?;
        let sampler = Sampler::start(pins, meter.clone())?;
        Ok(Self {
            settings,
            meter,
            standing,
            sampler,
            names: Names::open(pins)?,
        })
    }

    /// Who else counts.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Something else is in force.
    pub(super) fn follow(
        &mut self,
        snapshot: &Snapshot,
        desired: &Desired,
        layout: &Layout,
        found: &Scan,
    ) {
        let cluster = &self.settings.cluster;
        let directory = Directory::new(snapshot, desired, layout, &found.namespaces, cluster);
        let (services, left_out) = Ruled::all(desired, &directory);
        self.meter.counted().follow(directory);
        let cookies = found.namespaces.keys();
        let policies = cookies.map(|&cookie| (cookie, layout.policy_of(cookie)));
        let policies: BTreeMap<_, _> = policies.collect();
        self.names.follow(policies.clone());
        let insiders = found.workloads.values();
        let insiders = insiders.map(|pod| (pod.cookie, pod.insider)).collect();
        self.sampler.follow(insiders, policies);
        let mut standing = self.standing.get();
        standing.services = Arc::new(services);
        standing.services_left_out = left_out;
        standing.names = Arc::new(layout.names());
        standing.classes.clone_from(&desired.class_names);
    }

    /// A record of the kernel.
    pub(super) fn record(&self, record: &Connection) {
        let mut counted = self.meter.counted();
        counted.record(record, || self.names.of(record));
    }

    /// A connection was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let name = refusal.name.clone();
        let target = Target {
            name: name.unwrap_or_else(|| refusal.address.to_string()),
            port: refusal.port,
            reason: refusal.reason.clone(),
        };
        self.meter.counted().refused(refusal.pod.as_ref(), target);
    }

    /// The configuration was read without an error; it may be the same as before.
    pub(super) fn read(&self, is_new: bool) {
        let mut standing = self.standing.get();
        standing.read_ns = now_ns();
        if is_new {
            standing.changed_ns = standing.read_ns;
        }
    }

    /// Something was put in force, or could not be.
    pub(super) fn applied(&self, took: Duration, done: bool) {
        let mut standing = self.standing.get();
        if done {
            standing.applies.add(took.as_secs_f64());
        } else {
            standing.failed += 1;
        }
    }

    /// The agent lives.
    pub(super) fn beat(&self, now_ns: u64) {
        self.standing.get().beat_ns = now_ns;
        self.meter.counted().tick(now_ns);
    }

    /// How the agent stands.
    pub(super) fn stand(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.get());
    }
}
