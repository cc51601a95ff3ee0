//! `kubectl steer`: steer's commands on the nodes of a cluster.

mod kubectl;
mod nodes;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, thread};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use super::{
    Exit,
    args::Format,
    exit,
    output::{self, HEADING, paint},
};
use kubectl::Kubectl;
use nodes::{Agent, Node};

/// steer on the nodes of a cluster.
///
/// `status` shows all nodes side by side. Every other command of steer's runs where you say: on one
/// node, on the node of one pod, or on each in turn.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl steer",
    bin_name = "kubectl steer",
    version = env!("STEER_VERSION"),
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:
  kubectl steer status                                   every node: in force, findings, problems
  kubectl steer --node worker-2 get routes catalog       how that node splits it
  kubectl steer --pod shop/web-1 explain shop/web-1 catalog:80
  kubectl steer check                                    the findings of each node in turn

It runs `kubectl exec` in steer's own pods: you need the right to do that."
)]
struct Args {
    /// A kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of it
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace of steer's own pods
    #[arg(long, value_name = "NAME", default_value = "steer-system")]
    steer_namespace: String,
    /// Only on this node
    #[arg(long, value_name = "NAME", conflicts_with = "pod")]
    node: Option<String>,
    /// Only on the node of this pod
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pod: Option<String>,
    /// kubectl, if it is not the one on PATH
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "KUBECTL",
        default_value = "kubectl",
        hide = true
    )]
    kubectl: OsString,
    /// Format of `status` of all nodes
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// A command of steer's, and what belongs to it
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

/// What `kubectl-steer` does with its arguments.
pub fn plugin() -> ExitCode {
    match run(&Args::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    }
}

fn run(args: &Args) -> Result<Exit> {
    let kubectl = kubectl(args);
    let agents = wanted(args, &kubectl)?;
    match args.command.as_slice() {
        [command, rest @ ..] if command == "status" && agents.len() != 1 => {
            side_by_side(&kubectl, &agents, format(args, rest)?)
        }
        command => one_by_one(&kubectl, &agents, command),
    }
}

fn kubectl(args: &Args) -> Kubectl {
    let mut globals = Vec::new();
    if let Some(file) = &args.kubeconfig {
        globals.push(format!("--kubeconfig={}", file.display()));
    }
    if let Some(context) = &args.context {
        globals.push(format!("--context={context}"));
    }
    Kubectl {
        program: args.kubectl.clone(),
        globals,
        namespace: args.steer_namespace.clone(),
    }
}

/// Of all nodes, what comes after `status` can only be the format.
fn format(args: &Args, rest: &[String]) -> Result<Format> {
    use clap::ValueEnum as _;
    let name = match rest {
        [] => return Ok(args.output),
        [flag, name] if flag == "-o" || flag == "--output" => name,
        [one] => one
            .strip_prefix("--output=")
            .or_else(|| one.strip_prefix("-o"))
            .with_context(|| format!("{one:?} is for one node: name it with --node"))?,
        _ => bail!("of all nodes, `status` takes -o alone; name one with --node"),
    };
    Format::from_str(name, true).map_err(anyhow::Error::msg)
}

/// Where to run it.
fn wanted(args: &Args, kubectl: &Kubectl) -> Result<Vec<Agent>> {
    let mut agents = nodes::agents(&kubectl.pods().context("looking for steer's pods")?);
    if agents.is_empty() {
        bail!(
            "namespace {} has no pods of steer: name theirs with --steer-namespace",
            kubectl.namespace
        );
    }
    let node = match &args.pod {
        Some(pod) => Some(node_of(kubectl, pod)?),
        None => args.node.clone(),
    };
    if let Some(node) = node {
        agents.retain(|agent| agent.node == node);
        if agents.is_empty() {
            bail!("node {node} has no pod of steer");
        }
    }
    Ok(agents)
}

fn node_of(kubectl: &Kubectl, pod: &str) -> Result<String> {
    let (namespace, name) = pod
        .split_once('/')
        .with_context(|| format!("{pod:?} is not NAMESPACE/NAME of a pod"))?;
    let found = kubectl
        .pod(namespace, name)
        .with_context(|| format!("looking for pod {pod}"))?;
    let node = found["spec"]["nodeName"].as_str();
    Ok(node
        .with_context(|| format!("pod {pod} is on no node"))?
        .to_owned())
}

/// How many nodes are asked at the same time.
const AT_ONCE: usize = 16;

fn side_by_side(kubectl: &Kubectl, agents: &[Agent], format: Format) -> Result<Exit> {
    let ask = |agent: &Agent| {
        let said = kubectl.status(&agent.pod);
        Node::new(agent, said.map_err(|error| format!("{error:#}")))
    };
    let mut all = Vec::new();
    for some in agents.chunks(AT_ONCE) {
        all.extend(thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|agent| scope.spawn(move || ask(agent)))
                .collect();
            asked
                .into_iter()
                .filter_map(|one| one.join().ok())
                .collect::<Vec<_>>()
        }));
    }
    output::write(&nodes::text(&all, format)?)?;
    let well = all.len() == agents.len() && all.iter().all(Node::is_well);
    Ok(if well { Exit::Done } else { Exit::No })
}

fn one_by_one(kubectl: &Kubectl, agents: &[Agent], command: &[String]) -> Result<Exit> {
    let mut exit = Exit::Done;
    for agent in agents {
        if agents.len() > 1 {
            output::write(&format!(
                "{}\n",
                paint(HEADING, &format!("# {}", agent.node))
            ))?;
        }
        let status = kubectl.steer(&agent.pod, command).status();
        if !status.context("running kubectl")?.success() {
            exit = Exit::No;
        }
    }
    Ok(exit)
}
