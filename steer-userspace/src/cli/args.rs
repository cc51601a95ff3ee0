//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{control::DEFAULT_STATE, kernel::DEFAULT_PINS};

/// The traffic control of a service mesh inside the Linux kernel, with no sidecar.
///
/// steer reads Kubernetes and Istio resources and lets programs in the kernel choose the endpoint
/// when a socket connects: 90/10 is exactly 90 and 10 of every 100 connections.
#[derive(Debug, Parser)]
#[command(
    name = "steer",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the programs, keep the kernel as the configuration asks, watch for changes
    Agent(Agent),
}

/// Which agent's maps and files.
#[derive(Clone, Debug, clap::Args)]
pub struct Instance {
    /// Directory of the pinned maps and links, in a BPF file system
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PINS, env = "STEER_PINS", global = true)]
    pub pins: PathBuf,
    /// Directory of the agent's names and status
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE, env = "STEER_STATE", global = true)]
    pub state: PathBuf,
}

/// `steer agent`.
#[derive(Debug, clap::Args)]
pub struct Agent {
    /// Files or directories of Kubernetes and Istio YAML; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    pub config: Vec<PathBuf>,
    /// The cgroup whose sockets are steered; the root of cgroup v2 if not given
    #[arg(long, value_name = "DIR", env = "STEER_CGROUP")]
    pub cgroup: Option<PathBuf>,
    /// How many service ports (addresses times ports) fit; maps are sized by it
    #[arg(long, value_name = "N", default_value_t = steer_common::limits::SERVICES_MAX,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_services: u32,
    /// Domain of the cluster
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    pub domain: String,
    /// Istio's root namespace
    #[arg(long, value_name = "NAME", default_value = "istio-system")]
    pub root_namespace: String,
    /// Log lines as JSON
    #[arg(long)]
    pub log_json: bool,
    /// Where maps, links and files are.
    #[command(flatten)]
    pub instance: Instance,
}
