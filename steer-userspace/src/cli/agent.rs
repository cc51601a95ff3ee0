//! `steer agent`.

use std::{env::VarError, num::NonZeroUsize, thread};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::{Exit, args};
use crate::{
    control::{Agent, AgentSettings, EngineSettings, Origin},
    kernel::{KernelSettings, Pins, cgroup},
    plan::Capacity,
    source::kubernetes::{Access, ClusterSettings},
};

/// Runs the agent until it is told to stop.
pub(super) fn run(args: args::Agent, instance: &args::Instance) -> anyhow::Result<Exit> {
    log(args.log_json)?;
    let cgroup = match args.cgroup {
        Some(path) => path,
        None => cgroup::root()?,
    };
    let origin = if args.cluster.kubernetes {
        Origin::Cluster(ClusterSettings {
            access: Access {
                kubeconfig: args.cluster.kubeconfig,
                context: args.cluster.context,
            },
            node: args.cluster.node_name,
            root_namespace: args.naming.root_namespace.clone(),
            mesh_config: args.cluster.mesh_config,
            secrets: args.cluster.gateway_secrets,
            feedback: args.cluster.feedback,
        })
    } else {
        Origin::Files(args.config)
    };
    let settings = AgentSettings {
        origin,
        desired: args
            .split
            .settings(args.egress.settings(args.naming.into())),
        limits: args.egress.limits(),
        heartbeat: args.away.heartbeat(),
        auto: args.split.bounds(),
        metrics: args.metrics.settings(),
        proxy_threads: proxy_threads(args.proxy_threads),
        engine: EngineSettings {
            kernel: KernelSettings {
                pins: Pins::new(&instance.pins),
                cgroup,
                capacity: Capacity::for_services(args.max_services),
            },
            state: instance.state.clone(),
        },
    };
    super::runtime()?.block_on(async { Box::pin(Agent::start(settings).await?.run()).await })?;
    Ok(Exit::Done)
}

/// As many as are asked for, or half of the processors: requests are not all that a node has to do.
fn proxy_threads(asked: Option<u16>) -> NonZeroUsize {
    let half = || thread::available_parallelism().map_or(1, |all| (all.get() / 2).clamp(1, 8));
    let count = asked.map_or_else(half, usize::from);
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// What the client of the API server meets on its way is told once, by the agent.
const LEVELS: &str = "info,kube_client=off,kube_runtime=off";

/// Log lines go to standard error; `STEER_LOG` chooses what is told (default: info).
fn log(json: bool) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    let filter = match std::env::var("STEER_LOG") {
        Ok(levels) => EnvFilter::try_new(&levels)
            .with_context(|| format!("STEER_LOG is {levels:?}, which is not understood"))?,
        Err(VarError::NotPresent) => EnvFilter::new(LEVELS),
        Err(error) => return Err(error).context("STEER_LOG"),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if json {
        lines.json().init();
    } else {
        lines.init();
    }
    Ok(())
}
