//! The engine: images in, generations in force out.

mod change;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use steer_common::{addr::Peer, service::ServiceKey};

use self::change::Change;
use super::{names_file::NamesFile, read_names, seed};
use crate::{
    image::{Image, canary},
    kernel::{Grace, Kernel, KernelError, KernelSettings},
    node::connections::Insider,
    plan::{Layout, PlanError},
};

/// What an engine needs.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Where and how large.
    pub kernel: KernelSettings,
    /// The directory of the names file.
    pub state: PathBuf,
}

/// Why an image is not in force. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The names could not be written.
    #[error("writing the names file")]
    Names(#[source] io::Error),
    /// The kernel refused, and it refused to go back as well.
    #[error("{cause}; and what was in force before cannot be restored")]
    Torn {
        /// The first refusal.
        cause: Box<EngineError>,
        /// The second.
        source: KernelError,
    },
}

/// An image is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its generation.
    pub generation: u32,
    /// How many writes it took.
    pub steps: usize,
    /// Services whose routes changed, appeared or went.
    pub services_changed: usize,
    /// Their hosts and ports; of those that are gone, their addresses.
    pub services: BTreeSet<String>,
    /// Pods that came, went, or belong elsewhere.
    pub pods_changed: usize,
    /// Writes that changed what may be reached.
    pub egress_writes: usize,
    /// From the image to the last write.
    pub took: Duration,
}

/// Replaced rows are taken back once this many wait.
const WAITING_MAX: usize = 256;

/// Keeps the kernel's maps as the images ask.
pub struct Engine {
    settings: EngineSettings,
    kernel: Kernel,
    grace: Grace,
    layout: Layout,
    names: NamesFile,
    insiders: BTreeMap<u64, Insider>,
}

impl Engine {
    /// Loads the programs and takes over what an earlier agent left in the maps.
    pub fn start(settings: EngineSettings) -> Result<Self, EngineError> {
        let kernel = Kernel::start(&settings.kernel)?;
        let grace = Grace::new()?;
        let layout = if kernel.adopted() {
            let known = read_names(&settings.state).map_err(EngineError::Names)?;
            Layout::adopt(settings.kernel.capacity, &kernel.maps().read()?, &known)
        } else {
            Layout::new(settings.kernel.capacity)
        };
        // Rows that the earlier agent had replaced may still be read.
        grace.wait()?;
        let names =
            NamesFile::create(&settings.state, &layout.names()).map_err(EngineError::Names)?;
        Ok(Self {
            settings,
            kernel,
            grace,
            layout,
            names,
            insiders: BTreeMap::new(),
        })
    }

    /// Says by which processes to look at the connections of clients, by the cookies of their
    /// network namespaces.
    pub fn know(&mut self, insiders: BTreeMap<u64, Insider>) {
        self.insiders = insiders;
    }

    /// The generation in force.
    pub fn generation(&self) -> u32 {
        self.layout.generation()
    }

    /// What is where.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The kernel's side, to attach to veths and to try programs.
    pub fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// The kernel's side, and what is where.
    pub fn kernel_and_layout(&mut self) -> (&mut Kernel, &Layout) {
        (&mut self.kernel, &self.layout)
    }

    /// The kernel's side.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Puts an image in force: at once, or service by service if not so many rows are free. On an
    /// error all of it is undone.
    pub fn apply(&mut self, image: &Image) -> Result<Applied, EngineError> {
        let started = Instant::now();
        if self.layout.waiting() >= WAITING_MAX {
            self.settle()?;
        }
        let mut change = Change::default();
        match self.go(image, &mut change) {
            Ok(()) => Ok(Applied {
                generation: self.layout.generation(),
                steps: change.steps,
                services_changed: change.services_changed,
                services: called(image, &change.moved),
                pods_changed: change.pods_changed,
                egress_writes: change.egress_writes,
                took: started.elapsed(),
            }),
            Err(cause) => Err(self.back(change, cause)),
        }
    }

    /// Attaches the guard to the interfaces whose pods are known by now, and takes it from others.
    fn guard(&mut self) -> Result<(), EngineError> {
        let rows = self.layout.egress();
        let wanted: BTreeSet<u32> = rows.ports.keys().copied().collect();
        self.kernel.follow_other()?;
        let ports = self.kernel.ports_mut();
        let guarded = ports.guarded()?;
        for &index in wanted.difference(&guarded) {
            // An interface that is gone, or that cannot be guarded, must not keep others from it.
            if let Err(error) = ports.guard(index) {
                tracing::warn!(index, %error, "the interface of a pod is not guarded");
            }
        }
        for &index in guarded.difference(&wanted) {
            ports.release(index)?;
        }
        Ok(())
    }

    /// Lets the connections be that clients have who are judged from now on.
    fn seed(&mut self, clients: &[u64]) {
        for cookie in clients {
            // A pod that cannot be looked at must not keep the policy from the others.
            match self.insiders.get(cookie) {
                None => tracing::warn!(
                    cookie,
                    "open connections are judged anew: no process is known"
                ),
                Some(insider) => match seed(&mut self.kernel.maps_mut().egress, insider) {
                    Ok(connections) => tracing::debug!(cookie, connections, "let be"),
                    Err(error) => {
                        tracing::warn!(cookie, %error, "open connections are judged anew");
                    }
                },
            }
        }
    }

    /// Waits for a grace period and takes replaced rows back. About 11 ms: for idle moments.
    pub fn settle(&mut self) -> Result<(), EngineError> {
        if self.layout.waiting() > 0 {
            self.grace.wait()?;
            self.layout.reclaim();
        }
        if self.names.is_long() {
            let names = self.layout.names();
            self.names.compact(&names).map_err(EngineError::Names)?;
        }
        Ok(())
    }

    /// Attaches again what somebody detached; says what it was.
    pub fn put_back(&mut self) -> Result<Vec<String>, EngineError> {
        let ports = self.layout.egress().ports.keys().copied().collect();
        Ok(self.kernel.put_back(self.layout.judges(), &ports)?)
    }

    /// Holds the maps against what was written into them, and writes `image` anew where somebody
    /// changed them; says how many rows, by map.
    pub fn put_right(&mut self, image: &Image) -> Result<Vec<(&'static str, usize)>, EngineError> {
        let live = self.kernel.maps().read()?;
        let found = self.layout.differences(&live);
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.layout.names();
        let capacity = self.settings.kernel.capacity;
        self.layout = Layout::adopt_but(capacity, &live, &known, &found.services);
        self.grace.wait()?;
        self.apply(image)?;
        Ok(found.maps.into_iter().collect())
    }
}

/// What services are called, but for the one that only the agent dials.
fn called(image: &Image, moved: &BTreeSet<ServiceKey>) -> BTreeSet<String> {
    let others = moved.iter().filter(|&&key| key != canary::key());
    others
        .map(|key| match image.routes.get(key) {
            Some(route) => format!("{}:{}", route.service.host, key.port),
            None => Peer::new(key.addr, key.port).to_string(),
        })
        .collect()
}
