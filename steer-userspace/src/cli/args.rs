//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(super) use away::Away;
pub(super) use dashboard::Dashboard;
pub(super) use egress::Egress;
pub(super) use events::Events;
pub(super) use install::{Install, Target, Uninstall};
pub(super) use metrics::Metrics;
pub(super) use split::Split;
pub(super) use top::Top;

mod away;
mod dashboard;
mod egress;
mod events;
mod install;
mod metrics;
mod split;
mod top;

use crate::{control::DEFAULT_STATE, desired::Settings, kernel::DEFAULT_PINS};

/// The traffic control of a service mesh inside the Linux kernel, with no sidecar.
///
/// steer reads Kubernetes and Istio resources and lets programs in the kernel choose the endpoint
/// when a socket connects: 90/10 is exactly 90 and 10 of every 100 connections.
#[derive(Debug, Parser)]
#[command(
    name = "steer",
    version = env!("STEER_VERSION"),
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:
  steer doctor                              can this machine run it?
  steer check -f my-config/                 what would be refused, or not enforced?
  steer agent --config my-config/           steer, and watch the files
  steer get routes                          who is sent where, how exactly
  steer explain shop/webapp catalog:80      why does this client land there?
  steer top                                 how much goes where, live
  steer unload                              leave no trace

Exit codes: 0 done; 1 the answer is no; 2 wrong usage or unreadable input; 69 not supported on this
kernel or machine; 79 findings at error level."
)]
pub struct Args {
    /// Where maps and files are.
    #[command(flatten)]
    pub instance: Instance,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the programs, keep the kernel as the configuration asks, watch for changes
    Agent(Box<Agent>),
    /// Findings: what is refused, not enforced, or enforced in part
    Check(Check),
    /// What every map would hold, without touching the kernel
    Plan(Plan),
    /// What the kernel holds
    #[command(subcommand)]
    Get(Get),
    /// How the kernel decides for one client and one destination, step by step
    Explain(Explain),
    /// ServiceEntries that would have allowed what was refused, or would have been
    Learn(Learn),
    /// Whether the kernel does what was asked
    Status(Status),
    /// What happens on this node, as it happens
    Events(Events),
    /// Who talks with whom, as a page for a browser
    Dashboard(Dashboard),
    /// Live rates of routes, refusals and sources
    Top(Top),
    /// Whether this machine can run steer
    Doctor(Doctor),
    /// Return to the rules of an earlier generation
    Rollback(Rollback),
    /// Remove programs, links and maps: connections go where they are dialled again
    Unload(Unload),
    /// The manifest that runs steer on every node of a cluster; with --apply, that done
    Install(Install),
    /// The manifest that cleans every node of a cluster; with --apply, steer taken from it
    Uninstall(Uninstall),
    /// Shell completions
    Completions(Completions),
    /// Man pages
    Man(Man),
    /// Pages of the reference, from the code
    #[command(hide = true)]
    Generate(Generate),
}

/// How a listing is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns
    #[default]
    Table,
    /// Aligned columns, more of them
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// `-o`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Output {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// Options of each listing.
#[derive(Clone, Debug, clap::Args)]
pub struct Listing {
    /// Only what belongs to this namespace
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only what has this text in its name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Leave out the line of headers
    #[arg(long)]
    pub no_headers: bool,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer get`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  steer get routes catalog              routes of services whose name contains catalog
  steer get endpoints -n shop -o wide   with the pods behind them
  steer get services -o json            for scripts

Read from the kernel's maps: the listings work when the agent does not run.")]
pub enum Get {
    /// Service ports: address, endpoints, depth, connections
    #[command(visible_aliases = ["service", "svc"])]
    Services(Listing),
    /// Clusters, as `istioctl proxy-config cluster` lists them
    #[command(
        visible_alias = "cluster",
        after_help = "-o wide adds whether a route leads to the cluster, and connections."
    )]
    Clusters(Listing),
    /// Endpoints by cluster, as `istioctl proxy-config endpoint` lists them
    #[command(
        visible_alias = "endpoint",
        after_help = "-o wide adds the pod behind the endpoint, and whether a route leads there."
    )]
    Endpoints(Listing),
    /// Routes: who is sent where, by which rule, how exactly
    #[command(
        visible_alias = "route",
        after_help = "\
VIRTUAL SERVICE  the rule's, empty if the service itself decides; -o wide adds its file and line
CLIENT           whose routes they are: * is everyone for whom no rule says otherwise
DEPTH            how deep one must look to enforce the rule in full: connect, hello or request; (auto)
                 becomes request where requests stray from the weights, and -o wide says how far they did
SHARES           DESTINATION=WEIGHT:CONNECTIONS, since these weights took effect
SPLIT ERROR      the largest distance of a destination's connections from its exact share; below 1
                 while a period of the weights is under way, 0 at its end

With --pod and --gateway: NAME is the listener, DOMAINS the names that lead to the virtual host,
VIRTUAL SERVICE is default if there is none; -o wide adds retries, where nobody looks at requests none"
    )]
    Routes(Routes),
    /// Pods of this node that the kernel knows as clients
    #[command(visible_alias = "workload")]
    Workloads(Listing),
    /// What may be reached, by egress policy
    #[command(after_help = "\
POLICY       * is that of clients nobody knows, and of pods about which nothing else is said
MODE         enforce, audit, open; off while no policy enforces or audits
CHECK        what a connection's first bytes must say: nothing (ip), an allowed server name (sni), an
             allowed host of HTTP (host)
ALLOWED BY   the object; -o wide adds its file and line")]
    Egress(Listing),
    /// Addresses of allowed names, and for how long they hold
    #[command(
        visible_alias = "name",
        after_help = "\
FROM         answer: learned from a DNS answer to a pod; agent: asked by the agent itself
LEFT         how long new connections are allowed; established ones go on"
    )]
    Names(Listing),
    /// TCP connections of this node's pods that are open
    #[command(
        visible_alias = "connection",
        after_help = "\
NAME         takes pods and clusters
DIALLED      what the pod dialled, if the kernel steered it; - of what it accepted, or dialled as it is
CLUSTER      where that was sent; (by request) if each request has its own
-o wide      bytes of this end, and the round-trip time

Read from the sockets of the pods' network namespaces: needs root, and no agent."
    )]
    Connections(Listing),
}

/// `steer get routes`.
#[derive(Debug, clap::Args)]
pub struct Routes {
    /// The route tables of this pod; - for those of a client that is not known
    #[arg(long, value_name = "[NAMESPACE/]POD", conflicts_with = "gateway")]
    pub pod: Option<String>,
    /// The route tables of gateways, at the ports of nodes
    #[arg(long)]
    pub gateway: bool,
    /// What is listed.
    #[command(flatten)]
    pub listing: Listing,
}

/// `steer check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer check -f my-config/        findings of files that are not applied yet
  steer check                      findings of the agent
  steer check -o wide              with what to do about each

Exit code 79 if a finding is at the threshold or above it.")]
pub struct Check {
    /// Files or directories to check, instead of what the agent has
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Lowest severity that makes the command fail
    #[arg(long, value_enum, default_value_t = Threshold::Error, value_name = "LEVEL")]
    pub failure_threshold: Threshold,
    /// How names are read.
    #[command(flatten)]
    pub naming: Naming,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// A severity that can be typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Threshold {
    /// Info and above
    Info,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

/// `steer plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer plan -f my-config/         what every map would hold; needs no privileges
  steer plan -f my-config/ --live  what would change on this node

Rules that depend on the client are shown for the pods that --client names; with --live, for those
of the node. Exit code 79 if the configuration is refused.")]
pub struct Plan {
    /// Files or directories
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// A pod of this node, as NAMESPACE/NAME; may be given several times
    #[arg(long = "client", value_name = "POD")]
    pub clients: Vec<String>,
    /// Compare with what the kernel holds
    #[arg(long)]
    pub live: bool,
    /// How names are read.
    #[command(flatten)]
    pub naming: Naming,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer explain istioinaction/webapp catalog:80
  steer explain webapp 10.200.1.92:80
  steer explain - catalog.istioinaction:80     a client that is not known

Exit code 1 if the connection would be refused.")]
pub struct Explain {
    /// Who asks: NAMESPACE/POD, POD, or - for a client that is not known
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// What is dialled: a service's name or an address, and a port
    #[arg(value_name = "HOST:PORT")]
    pub destination: String,
    /// UDP instead of TCP
    #[arg(long)]
    pub udp: bool,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer learn`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer learn                    of everything that was seen since the agent started
  steer learn -n shop > egress.yaml

Names come from DNS answers and first bytes; what has none is named by its address. Protocols are
guessed from the ports: read them before you apply them.")]
pub struct Learn {
    /// Only of pods of this namespace
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "-o wide adds each program, every reason, and what the agent reads.

Exit code 1 if something is not as it should be: no agent, a program that is not attached, or a
configuration that is refused. With --alive it is 1 only if the agent has not said in time that it lives."
)]
pub struct Status {
    /// Only whether the agent lives, as a liveness probe asks: what else is wrong does not count
    #[arg(long)]
    pub alive: bool,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Programs are loaded and let go again; nothing is attached, nothing is changed.

Exit code 69 if this machine cannot run steer.")]
pub struct Doctor {
    /// The cgroup whose sockets would be steered; the root of cgroup v2 if not given
    #[arg(long, value_name = "DIR", env = "STEER_CGROUP", hide_env_values = true)]
    pub cgroup: Option<PathBuf>,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// `steer rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rules are what is written for traffic: VirtualServices, DestinationRules, ServiceEntries, Sidecars and
the mesh's settings, in files or in a cluster. Pods, services and endpoints stay those of now. The rules
stay in force on this node until other ones are written, or until --release; an agent that starts keeps to
them.

Examples:
  steer rollback --list         which rules are kept
  steer rollback                those before the ones in force
  steer rollback 7              those of generation 7
  steer rollback --release      what is written counts again

Exit code 1 if those rules are not kept.")]
pub struct Rollback {
    /// A generation that had the rules; those before the ones in force if not given
    #[arg(value_name = "GENERATION", conflicts_with_all = ["release", "list"])]
    pub generation: Option<u32>,
    /// What is written counts again
    #[arg(long, conflicts_with = "list")]
    pub release: bool,
    /// Name the rules that are kept
    #[arg(long)]
    pub list: bool,
}

/// `steer unload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Established connections are not touched.")]
pub struct Unload {
    /// Even if an agent runs
    #[arg(long)]
    pub force: bool,
    /// Stay until told to stop, once nothing is left: the pod that cleaned a node says so by running
    #[arg(long)]
    pub stay: bool,
}

/// `steer completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer completions bash > /etc/bash_completion.d/steer
  steer completions zsh > ~/.zfunc/_steer
  steer completions fish > ~/.config/fish/completions/steer.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `steer man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer man | man -l -
  steer man /usr/local/share/man/man1")]
pub struct Man {
    /// Write one page for each command into this directory, instead of the main page to the terminal
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// `steer generate`.
#[derive(Debug, clap::Args)]
pub struct Generate {
    /// What to generate
    #[arg(value_parser = ["docs"])]
    pub what: String,
    /// Into which directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// How names in the configuration are read.
#[derive(Clone, Debug, clap::Args)]
pub struct Naming {
    /// Domain of the cluster
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub domain: String,
    /// Istio's root namespace
    #[arg(long, value_name = "NAME", default_value = "istio-system")]
    pub root_namespace: String,
}

impl From<Naming> for Settings {
    fn from(naming: Naming) -> Self {
        Self {
            domain: naming.domain,
            root_namespace: naming.root_namespace,
            ..Self::default()
        }
    }
}

/// Which agent's maps and files.
#[derive(Clone, Debug, clap::Args)]
pub struct Instance {
    /// Directory of the pinned maps and links, in a BPF file system
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PINS, env = "STEER_PINS",
          hide_env_values = true, global = true, help_heading = "Instance")]
    pub pins: PathBuf,
    /// Directory of the agent's names and status
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE, env = "STEER_STATE",
          hide_env_values = true, global = true, help_heading = "Instance")]
    pub state: PathBuf,
}

/// How an API server is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct Cluster {
    /// Watch a cluster's API server instead of files
    #[arg(long)]
    pub kubernetes: bool,
    /// The kubeconfig; without it KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE", requires = "kubernetes")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "kubernetes")]
    pub context: Option<String>,
    /// The name of this node: of pods elsewhere only names and labels are read
    #[arg(long, value_name = "NAME", env = "NODE_NAME", hide_env_values = true)]
    pub node_name: Option<String>,
    /// The ConfigMap of the root namespace that holds the mesh's configuration
    #[arg(long, value_name = "NAME", default_value = "istio", value_parser = mesh_config)]
    pub mesh_config: String,
    /// The namespace of gateways' Services, whose Secrets are read: without it no TLS ends at gateways of a
    /// cluster
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    pub gateway_secrets: Option<String>,
    /// Tell the cluster what becomes of its rules: a condition SteerEnforced in the status of each, and
    /// Events; one agent does so for all, and needs the rights to
    #[arg(long, requires = "kubernetes")]
    pub feedback: bool,
}

/// Istio's own name, or that of a revision: what has another name is not its configuration.
fn mesh_config(text: &str) -> Result<String, String> {
    let is_revision = text
        .strip_prefix("istio-")
        .is_some_and(|revision| !revision.is_empty());
    if text == "istio" || is_revision {
        return Ok(text.to_owned());
    }
    Err("it is istio, or istio-REVISION".to_owned())
}

/// `steer agent`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer agent --config my-config/                    files, and what becomes of them
  steer agent --kubernetes --node-name $NODE_NAME    on a node of a cluster
  steer agent --kubernetes --kubeconfig admin.conf   from outside of its pods

Of a cluster, Services, EndpointSlices, Pods, Namespaces, the ConfigMap istio and Istio's resources are
listed and watched. Nothing is applied before all of them were listed once. An object that cannot be
used is refused alone, and what it said before stays in force.")]
pub struct Agent {
    /// Files or directories of Kubernetes and Istio YAML; may be given several times
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "kubernetes",
        conflicts_with = "kubernetes"
    )]
    pub config: Vec<PathBuf>,
    /// What a cluster's API server has, instead of files.
    #[command(flatten)]
    pub cluster: Cluster,
    /// The cgroup whose sockets are steered; the root of cgroup v2 if not given
    #[arg(long, value_name = "DIR", env = "STEER_CGROUP", hide_env_values = true)]
    pub cgroup: Option<PathBuf>,
    /// How many service ports (addresses times ports) fit; maps are sized by it
    #[arg(long, value_name = "N", default_value_t = steer_common::limits::SERVICES_MAX,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_services: u32,
    /// How names are read.
    #[command(flatten)]
    pub naming: Naming,
    /// What pods may reach.
    #[command(flatten)]
    pub egress: Egress,
    /// When the agent is away.
    #[command(flatten)]
    pub away: Away,
    /// What weights are kept for.
    #[command(flatten)]
    pub split: Split,
    /// What is told of traffic.
    #[command(flatten)]
    pub metrics: Metrics,
    /// How many threads look at requests; if not given, half as many as there are processors for the agent, at most 8
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub proxy_threads: Option<u16>,
    /// Log lines as JSON
    #[arg(long)]
    pub log_json: bool,
}
