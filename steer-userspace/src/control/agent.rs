//! The agent: reads, compiles, applies, watches, and says how it stands.

mod apply;
mod count;
mod look;
mod read;
mod report;

use std::{collections::BTreeMap, io, num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, interval_at},
};

use super::{
    Engine, EngineError, EngineSettings, Lock, LockError,
    auto::{self, Auto},
    clusters_file,
    connections::Connections,
    events,
    feed::{Feed, FeedError, Origin},
    metrics::{Metrics, MetricsSettings},
    outside::Outside,
    refusals::Refusals,
    requests::Requests,
    resolve::{Resolver, Wanted},
    rules::Rules,
    scan::Scans,
    status::Status,
    strays::Strays,
    truth::{self, Truth},
};
use crate::{
    desired::{Desired, Lowering, Settings},
    feedback::Feedback,
    finding::Finding,
    image::{
        Compiler,
        egress::{Found, Limits},
    },
    kernel::{Beside, Events, Heartbeat, KernelError, capability, heartbeat::now_ns, privilege},
    node::{
        NodeError,
        discover::{Scan, Scanner},
    },
    source::Snapshot,
};

/// What an agent needs.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Where the configuration is.
    pub origin: Origin,
    /// How names are read.
    pub desired: Settings,
    /// How refusals look.
    pub limits: Limits,
    /// The kernel's side.
    pub engine: EngineSettings,
    /// By what the kernel knows that the agent lives.
    pub heartbeat: Heartbeat,
    /// When requests are split instead of connections.
    pub auto: auto::Bounds,
    /// Where metrics can be asked for, if they can.
    pub metrics: Option<MetricsSettings>,
    /// How many threads look at requests.
    pub proxy_threads: NonZeroUsize,
}

/// Why the agent stopped.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another one runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The kernel's side failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The agent may not, or the machine cannot.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Pods cannot be looked for.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The configuration cannot be watched.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Signals or files of its own.
    #[error("{action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// How often the configuration is read without being told to: not every file system tells.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How often replaced rows are taken back.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked how requests are shared.
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// What came of an apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// It is in force.
    InForce,
    /// There is no plan that leads there.
    DoesNotFit,
    /// The kernel, or files of the agent's own, refused: another try may do.
    RefusedByKernel,
}

/// A running agent.
pub struct Agent {
    settings: AgentSettings,
    engine: Engine,
    feed: Feed,
    scans: Scans,
    /// The last configuration that could be read.
    written: Snapshot,
    rules: Rules,
    /// What is to be in force: what is written, unless somebody returned to earlier rules.
    snapshot: Snapshot,
    /// The pods of this node.
    found: Scan,
    /// The addresses of names.
    names: Arc<Found>,
    lowering: Lowering,
    compiler: Compiler,
    /// What the last configuration means.
    desired: Desired,
    /// Why what is written is not in force; empty if it is.
    refused: Vec<Finding>,
    /// What came of what was compiled last.
    outcome: Outcome,
    /// Whether pins of other versions were looked for.
    others_gone: bool,
    auto: Auto,
    truth: Truth,
    strays: Strays,
    /// Programs of others at the hooks that steer decides at.
    beside: Vec<Beside>,
    told: Option<Status>,
    clusters_changed: bool,
    /// Who is told how far rules are enforced, and whether there is something to tell.
    feedback: Option<Feedback>,
    untold: bool,
    events: Events,
    refusals: Refusals,
    requests: Requests,
    connections: Connections,
    outside: Outside,
    /// Who counts, if anybody does.
    metrics: Option<Metrics>,
    /// Who is told what happens; nobody, if there is no socket.
    told_events: Option<events::Events>,
    /// Ports that gateways need and that could not be opened, and why.
    closed: BTreeMap<u16, String>,
    _lock: Lock,
}

impl Agent {
    /// Takes the lock and puts the programs in force. Nothing is read yet.
    pub async fn start(settings: AgentSettings) -> Result<Self, AgentError> {
        privilege::check("running the agent")?;
        let lock = Lock::take(&settings.engine.state)?;
        let scanner = Scanner::new(&settings.engine.kernel.cgroup)?;
        let mut engine = Engine::start(settings.engine.clone())?;
        let outside = Outside::start(engine.kernel().features().tcx)?;
        let egress = &mut engine.kernel_mut().maps_mut().egress;
        egress.expect_beats(&settings.heartbeat)?;
        egress.beat(now_ns())?;
        // Before any thread is started: capabilities are a thread's.
        capability::drop_others()?;
        let scans = Scans::start(scanner);
        let events = Events::open(&settings.engine.kernel.pins)?;
        let requests = Requests::start(&settings.engine.kernel.pins, settings.proxy_threads);
        let mut requests = requests.map_err(|source| AgentError::Io {
            action: "starting the request proxy",
            source,
        })?;
        let metrics = settings.metrics.clone();
        let metrics = metrics.map(|wanted| {
            let pins = &settings.engine.kernel.pins;
            Metrics::start(wanted, pins, requests.made())
        });
        let metrics = metrics.transpose()?;
        if let Some(metrics) = &metrics {
            requests.count_by(metrics.meter());
        }
        let (log, told) = requests.log();
        let connections = Connections::open(&settings.engine.kernel.pins, log, told)?;
        let told_events = events::Events::start(&settings.engine.state);
        let told_events = told_events
            .inspect_err(|error| tracing::warn!(%error, "`steer events` has nobody to ask"))
            .ok();
        let feed = Feed::open(&settings.origin).await?;
        Ok(Self {
            engine,
            scans,
            written: Snapshot::default(),
            rules: Rules::default(),
            snapshot: Snapshot::default(),
            found: Scan::default(),
            names: Arc::default(),
            compiler: Compiler::default(),
            lowering: Lowering::new(settings.desired.clone()),
            desired: Desired::default(),
            refused: Vec::new(),
            outcome: Outcome::DoesNotFit,
            others_gone: false,
            auto: Auto::new(settings.auto),
            truth: Truth::default(),
            strays: Strays::default(),
            beside: Vec::new(),
            told: None,
            clusters_changed: false,
            feedback: feed.feedback(&settings.origin),
            untold: false,
            events,
            refusals: Refusals::default(),
            requests,
            connections,
            outside,
            metrics,
            told_events,
            closed: BTreeMap::new(),
            feed,
            settings,
            _lock: lock,
        })
    }

    /// Runs until it is told to stop. What is in force stays in force.
    pub async fn run(mut self) -> Result<(), AgentError> {
        let failed = |source| AgentError::Io {
            action: "listening for signals",
            source,
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut reload = signal(SignalKind::hangup()).map_err(failed)?;
        let mut read = interval_at(tokio::time::Instant::now() + READ_EVERY, READ_EVERY);
        read.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settle = timer(SETTLE_EVERY);
        let mut look = timer(truth::LOOK_EVERY);
        let mut judge = timer(JUDGE_EVERY);
        let mut beat = timer(self.settings.heartbeat.every());
        let mut resolver = Resolver::start();
        let first = loop {
            tokio::select! {
                first = self.feed.first() => break first,
                _ = beat.tick() => self.beat(now_ns())?,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        };
        if self.take(first)? {
            if !self.snapshot.pods.is_empty() {
                self.found = self.scans.next().await;
            }
            self.apply();
        }
        self.tell()?;
        self.rest()?;
        tracing::info!(
            version = env!("STEER_VERSION"),
            generation = self.engine.generation(),
            pods = self.found.namespaces.len(),
            "agent is ready"
        );
        loop {
            // After each thing that was done, too: it may have taken long.
            self.beat(now_ns())?;
            resolver.look_for(Wanted {
                names: self.desired.egress.resolve.clone(),
                resolvers: self.desired.egress.resolvers.clone(),
            });
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = reload.recv() => self.change()?,
                () = self.feed.changed() => self.change()?,
                _ = read.tick() => self.change_or_retry()?,
                found = self.scans.next() => {
                    self.found = found;
                    self.apply();
                    self.tell()?;
                }
                names = resolver.next() => {
                    self.resolved(names);
                    self.tell()?;
                }
                _ = settle.tick() => self.rest()?,
                _ = look.tick() => self.look()?,
                _ = judge.tick() => self.judge()?,
                _ = beat.tick() => {}
            }
        }
        self.beat(0)?;
        self.connections.take(self.metrics.as_ref());
        self.requests.end();
        tracing::info!("stopped; what is in force stays in force (`steer unload` removes it)");
        Ok(())
    }

    /// Says that the agent lives; or, with 0, that it goes.
    fn beat(&mut self, now_ns: u64) -> Result<(), AgentError> {
        if let Some(metrics) = &self.metrics {
            metrics.beat(now_ns);
        }
        Ok(self.engine.kernel_mut().maps_mut().egress.beat(now_ns)?)
    }

    /// What can wait until nothing else is to be done.
    fn rest(&mut self) -> Result<(), AgentError> {
        self.engine.settle()?;
        self.take_events()?;
        self.connections.take(self.metrics.as_ref());
        if std::mem::take(&mut self.clusters_changed) {
            let failed = |source| AgentError::Io {
                action: "writing the clusters file",
                source,
            };
            let clusters = self
                .desired
                .services
                .iter()
                .flat_map(|service| &service.clusters);
            clusters_file::write(&self.settings.engine.state, clusters).map_err(failed)?;
        }
        Ok(())
    }
}

fn timer(period: Duration) -> tokio::time::Interval {
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
