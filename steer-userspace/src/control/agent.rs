//! The agent: reads, compiles, applies, watches, and says how it stands.

mod count;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

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
    resolve::{self, Resolver, Wanted},
    rules::Rules,
    scan::Scans,
    status::Status,
    strays::Strays,
    truth::{self, Truth},
};
use crate::{
    desired::{Desired, Lowering, Settings, model::PodRef},
    feedback::Feedback,
    finding::Finding,
    image::{
        Compiler, Node,
        egress::{Found, Limits, Port},
    },
    kernel::{
        Beside, Events, Heartbeat, KernelError, Removed, beside, capability, heartbeat::now_ns,
        privilege,
    },
    node::{
        NodeError,
        discover::{Scan, Scanner},
    },
    source::{Snapshot, kubernetes::ClusterSettings},
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
                _ = beat.tick() => self.beat(now_ns())?,
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

    /// Puts right what somebody else changed in the kernel.
    fn look(&mut self) -> Result<(), AgentError> {
        if let Origin::Cluster(ClusterSettings {
            node: Some(node), ..
        }) = &self.settings.origin
        {
            let now = Instant::now();
            self.untold |= self.strays.look(&self.snapshot, node, &self.found, now);
        }
        self.count_outcomes();
        self.look_beside();
        self.look_at_ports();
        self.look_outside();
        self.requests.count(&self.settings.engine.state);
        let mirrored = self.requests.mirrored();
        self.untold |= self
            .told
            .as_ref()
            .is_some_and(|told| told.mirrored != mirrored);
        self.look_at_the_kernel()?;
        if self.untold { self.tell() } else { Ok(()) }
    }

    /// Looks which ports that gateways need could not be opened.
    fn look_at_ports(&mut self) {
        let closed = self.requests.closed();
        self.untold |= closed != self.closed;
        self.closed = closed;
    }

    /// Looks by which addresses and interfaces clients outside come in.
    fn look_outside(&mut self) {
        if self.outside.look(&self.desired, &self.found) {
            self.apply();
        }
        self.enter();
    }

    /// Steers what comes in from outside, where the image leads it to pods.
    fn enter(&mut self) {
        let (kernel, image) = (self.engine.kernel_mut(), self.compiler.image());
        if let Err(error) = self.outside.enter(kernel, image) {
            tracing::warn!(%error, "what comes in from outside is not steered in the kernel");
        }
    }

    /// Looks who else decides where sockets connect.
    fn look_beside(&mut self) {
        let kernel = &self.settings.engine.kernel;
        let pods = self.pods();
        let all = pods.values().map(PathBuf::as_path);
        match beside(&kernel.pins, all.chain([kernel.cgroup.as_path()])) {
            Ok(found) if found == self.beside => {}
            Ok(found) => {
                self.beside = found;
                self.untold = true;
            }
            Err(error) => tracing::debug!(%error, "programs of others cannot be looked for"),
        }
    }

    fn look_at_the_kernel(&mut self) -> Result<(), AgentError> {
        if self.outcome != Outcome::InForce {
            return Ok(());
        }
        let image = self.compiler.image();
        match self.truth.look(&mut self.engine, image) {
            Ok(false) => Ok(()),
            Ok(true) => self.tell(),
            Err(error) => {
                tracing::warn!(%error, "what somebody else changed cannot be put right");
                Ok(())
            }
        }
    }

    /// The configuration may have changed.
    fn change(&mut self) -> Result<(), AgentError> {
        if self.read()? {
            self.apply();
        }
        self.tell()
    }

    /// Like `change`; what the kernel refused is tried again.
    fn change_or_retry(&mut self) -> Result<(), AgentError> {
        let again = self.outcome == Outcome::RefusedByKernel;
        if self.read()? || again {
            self.apply();
        }
        self.tell()
    }

    /// Reads what is written; false if nothing is to be done about it.
    fn read(&mut self) -> Result<bool, AgentError> {
        let read = self.feed.read();
        self.take(read)
    }

    /// Takes what was read; false if nothing is to be done about it.
    fn take(&mut self, read: Result<Option<Snapshot>, Vec<Finding>>) -> Result<bool, AgentError> {
        if let (Some(metrics), Ok(found)) = (&self.metrics, &read) {
            metrics.read(found.is_some());
        }
        let fresh = match read {
            Ok(None) => false,
            Ok(Some(snapshot)) => {
                self.written = snapshot;
                self.rules.write(self.feed.rules());
                true
            }
            Err(findings) => {
                self.refuse(findings);
                false
            }
        };
        let state = &self.settings.engine.state;
        let failed = |source| AgentError::Io {
            action: "reading the rules of earlier generations",
            source,
        };
        if !self.rules.look(state).map_err(failed)? && !fresh {
            return Ok(false);
        }
        match self.rules.choose(&self.written, state).map_err(failed)? {
            Ok(snapshot) => {
                let same_pods = self.snapshot.has_pods_of(&snapshot);
                self.snapshot = snapshot;
                if !same_pods {
                    self.scans.look_for(self.snapshot.pod_addresses());
                }
                Ok(true)
            }
            Err(findings) => {
                self.refuse(findings);
                Ok(false)
            }
        }
    }

    /// Puts the last configuration that could be read in force.
    fn apply(&mut self) {
        let started = Instant::now();
        let local: BTreeSet<PodRef> = self.found.namespaces.values().cloned().collect();
        self.desired = self.lowering.lower(&self.snapshot, &local);
        self.auto.deepen(&mut self.desired);
        self.clusters_changed = true;
        self.untold = true;
        self.outside.look(&self.desired, &self.found);
        let node = self.node();
        let workloads = self.found.workloads.values();
        self.engine.know(
            workloads
                .map(|found| (found.cookie, found.insider))
                .collect(),
        );
        let image = self.compiler.compile_on(&self.desired, &node);
        let applied = self.engine.apply(image);
        self.outcome = match &applied {
            Ok(_) => Outcome::InForce,
            Err(EngineError::Plan(_)) => Outcome::DoesNotFit,
            Err(_) => Outcome::RefusedByKernel,
        };
        match applied {
            Ok(applied) => {
                // Numbers mean what they meant when connections closed.
                self.connections.take(self.metrics.as_ref());
                self.refused.clear();
                self.note_rules(applied.generation);
                self.serve();
                self.count();
                self.count_apply(started.elapsed());
                self.observe();
                self.enter();
                self.look_at_ports();
                self.remove_others();
                if applied.steps > 0 {
                    self.tell_event(events::What::Reconfigured {
                        generation: applied.generation,
                        services_changed: applied.services_changed,
                        writes: applied.steps,
                    });
                    report::log_applied(&applied, &self.desired.findings, started.elapsed());
                }
            }
            Err(error) => {
                self.count_apply(started.elapsed());
                self.refuse(vec![report::not_applied(&error)]);
            }
        }
    }

    /// Observes the connections of pods that log; of all, if they are counted.
    fn observe(&mut self) {
        let (kernel, layout) = self.engine.kernel_and_layout();
        let followed = self.connections.follow(
            &self.desired,
            layout,
            &self.found,
            kernel,
            self.metrics.as_ref(),
        );
        if let Err(error) = followed {
            tracing::warn!(%error, "connections have no lines in the access log");
        }
    }

    /// Looks at requests, and copies them, where the rules say so.
    fn serve(&mut self) {
        let state = &self.settings.engine.state;
        let layout = self.engine.layout();
        let tapped = self
            .requests
            .serve(&self.desired, layout, &self.found, state);
        match self.engine.kernel_mut().tap(&tapped) {
            Ok(0) => {}
            Ok(more) => tracing::warn!(
                more,
                "so many routes too many: their requests are not copied"
            ),
            Err(error) => tracing::warn!(%error, "requests are not copied"),
        }
    }

    /// Counts requests where connections are split only as long as that keeps their weights.
    fn count(&mut self) {
        let (kernel, layout) = self.engine.kernel_and_layout();
        let counted = kernel.requests().and_then(|counted| {
            let wanted = self.auto.follow(layout, &counted);
            let more = kernel.count_requests(&wanted, &counted)?;
            if self.auto.has_new() {
                let used = self.requests.used();
                self.auto.begin(&kernel.requests()?, &used, Instant::now());
            }
            Ok(more)
        });
        match counted {
            Ok(0) => {}
            Ok(more) => tracing::warn!(
                more,
                "so many routes too many: their connections are split whatever becomes of requests"
            ),
            Err(error) => tracing::warn!(%error, "requests are not counted"),
        }
        self.keep();
    }

    /// Looks how requests were shared meanwhile, and splits them where that is needed.
    fn judge(&mut self) -> Result<(), AgentError> {
        if self.auto.is_idle() || self.outcome != Outcome::InForce {
            return Ok(());
        }
        let counted = match self.engine.kernel().requests() {
            Ok(counted) => counted,
            Err(error) => {
                tracing::warn!(%error, "requests that were counted cannot be read");
                return Ok(());
            }
        };
        let used = self.requests.used();
        let classes = &self.desired.class_names;
        let changed = self.auto.look(&counted, &used, classes, Instant::now());
        if !changed.is_empty() {
            for what in changed {
                self.tell_event(what);
            }
            // Whoever listens is there before connections are sent there.
            self.auto.deepen(&mut self.desired);
            self.serve();
            self.apply();
            return self.tell();
        }
        self.keep();
        Ok(())
    }

    /// Writes down how weights are kept, for listings.
    fn keep(&mut self) {
        if let Err(error) = self.auto.write(&self.settings.engine.state) {
            tracing::warn!(%error, "listings do not show how weights are kept");
        }
        self.count_splits();
    }

    /// What a version with another layout left goes once ours is in force: attach before detach.
    fn remove_others(&mut self) {
        if std::mem::replace(&mut self.others_gone, true) {
            return;
        }
        match self.engine.kernel_mut().remove_others() {
            Ok(removed) if removed == Removed::default() => {}
            Ok(removed) => tracing::info!(
                programs = removed.links,
                maps = removed.maps,
                "removed what another version had pinned"
            ),
            Err(error) => tracing::warn!(%error, "what another version has pinned stays"),
        }
    }

    /// Keeps the rules that are in force, to return to them one day.
    fn note_rules(&mut self, generation: u32) {
        if let Err(error) = self.rules.note(&self.settings.engine.state, generation) {
            tracing::warn!(%error, "these rules cannot be returned to: they are not kept");
        }
    }

    /// Names have other addresses, or have them for longer.
    fn resolved(&mut self, names: Found) {
        let addresses = resolve::addresses(&names);
        if addresses != resolve::addresses(&self.names) {
            self.lowering.resolved(Arc::new(addresses));
        }
        self.names = Arc::new(names);
        self.apply();
    }

    /// What is known of this node. A pod may send from the addresses that Kubernetes gave it,
    /// whatever others it gives itself.
    fn node(&self) -> Node {
        let ports = self.found.workloads.iter().map(|(pod, found)| {
            let written = self.snapshot.pod(pod);
            let given: Vec<_> = written
                .into_iter()
                .flat_map(|written| written.spec.addresses())
                .collect();
            let own = found.addresses.iter().copied();
            let port = Port {
                cookie: found.cookie,
                pod: pod.clone(),
                policy: String::new(),
                addresses: own.filter(|one| given.contains(one)).collect(),
                bridge: found.bridge,
            };
            (found.host_index, port)
        });
        let workloads = self.found.workloads.values();
        let interfaces = workloads.map(|found| (found.cookie, found.index));
        Node {
            own: self.found.own,
            pods: self.found.namespaces.clone(),
            interfaces: interfaces.collect(),
            ports: ports.collect(),
            found: Arc::clone(&self.names),
            limits: self.settings.limits,
            canary: true,
            edge: self.outside.edge(&self.found),
        }
    }
}

fn timer(period: Duration) -> tokio::time::Interval {
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}
