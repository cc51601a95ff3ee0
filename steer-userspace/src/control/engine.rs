//! The engine: images in, generations in force out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{names_file::NamesFile, read_names, seed};
use crate::{
    image::Image,
    kernel::{Grace, Kernel, KernelError, KernelSettings, Undo},
    node::connections::Insider,
    plan::{Layout, Plan, PlanError},
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its generation.
    pub generation: u32,
    /// How many writes it took.
    pub steps: usize,
    /// Services whose routes changed, appeared or went.
    pub services_changed: usize,
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

    /// The kernel's side.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Puts an image in force: at once, or service by service if not so many rows are free.
    pub fn apply(&mut self, image: &Image) -> Result<Applied, EngineError> {
        let started = Instant::now();
        if self.layout.waiting() >= WAITING_MAX {
            self.settle()?;
        }
        let (mut steps, mut services_changed) = (0, 0);
        let last = loop {
            let plan = match self.plan(image)? {
                Err(PlanError::Full { .. }) => self.layout.plan_part(image)?,
                other => break other?,
            };
            steps += plan.steps.len();
            services_changed += plan.services_changed();
            self.write(&plan)?;
            self.settle()?;
        };
        self.write(&last)?;
        self.guard()?;
        Ok(Applied {
            generation: self.layout.generation(),
            steps: steps + last.steps.len(),
            services_changed: services_changed + last.services_changed(),
            took: started.elapsed(),
        })
    }

    /// Attaches the guard to the interfaces whose pods are known by now, and takes it from others.
    fn guard(&mut self) -> Result<(), EngineError> {
        let rows = self.layout.egress();
        let wanted: BTreeSet<u32> = rows.ports.keys().copied().collect();
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

    /// Plans the way to `image`, with all rows that can be had.
    fn plan(&mut self, image: &Image) -> Result<Result<Plan, PlanError>, EngineError> {
        let plan = self.layout.plan(image);
        if !matches!(plan, Err(PlanError::Busy { .. })) {
            return Ok(plan);
        }
        self.settle()?;
        Ok(self.layout.plan(image))
    }

    fn write(&mut self, plan: &Plan) -> Result<(), EngineError> {
        let mut undo = Undo::default();
        let done = self
            .names
            .append(&plan.names)
            .map_err(EngineError::Names)
            .and_then(|()| Ok(self.put_in_force(plan, &mut undo)?));
        let Err(cause) = done else {
            return Ok(());
        };
        let back = self.kernel.maps_mut().undo(undo);
        self.resume()?;
        match back {
            Ok(()) => Err(cause),
            Err(source) => Err(EngineError::Torn {
                cause: Box::new(cause),
                source,
            }),
        }
    }

    fn put_in_force(&mut self, plan: &Plan, undo: &mut Undo) -> Result<(), KernelError> {
        let (before, from) = plan.steps.split_at(plan.judged.from);
        if self.layout.judges() {
            self.kernel.judge_packets(true)?;
        }
        self.kernel.maps_mut().apply(before, undo)?;
        self.seed(&plan.judged.clients);
        self.kernel.maps_mut().apply(from, undo)?;
        if !self.layout.judges() {
            self.kernel.judge_packets(false)?;
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

    /// A plan stopped half-way: the maps, not the plan, say what is in force.
    fn resume(&mut self) -> Result<(), EngineError> {
        let live = self.kernel.maps().read()?;
        let known = self.layout.names();
        self.layout = Layout::adopt(self.settings.kernel.capacity, &live, &known);
        self.kernel.judge_packets(self.layout.judges())?;
        self.grace.wait()?;
        Ok(())
    }
}
