//! Options of installing on a cluster, and of taking away.

use std::{path::PathBuf, time::Duration};

use crate::{install::Options, source::kubernetes::Access};

/// `steer install`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer install | kubectl apply -f -                 the manifest, as deploy/steer.yaml
  steer install --image example.org/steer:0.1.0 --apply
  steer install --apply --dry-run                    would the API server take it?

Applied on the server's side, as field manager steer: fields that others own are left alone.

Exit code 1 if an object is refused.")]
pub struct Install {
    /// Names.
    #[command(flatten)]
    pub names: Names,
    /// Where the nodes mount cgroup v2 [default: /sys/fs/cgroup]
    #[arg(long, value_name = "DIR")]
    pub cgroup: Option<String>,
    /// Istio's root namespace [default: istio-system]
    #[arg(long, value_name = "NAME")]
    pub root_namespace: Option<String>,
    /// The ConfigMap there that holds the mesh's configuration [default: istio]
    #[arg(long, value_name = "NAME", value_parser = super::mesh_config)]
    pub mesh_config: Option<String>,
    /// Take over fields that somebody else owns
    #[arg(long, requires = "apply")]
    pub force_conflicts: bool,
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
}

/// `steer uninstall`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Printed is the manifest that cleans the nodes, as deploy/unload.yaml. With --apply everything is done, one
after the other: the agents end, pods of that manifest unload every node and say so, then every object of
steer is deleted, the namespace last.

Examples:
  steer uninstall --apply
  steer uninstall --apply --keep-programs            programs stay in force on the nodes

Exit code 1 if an object is refused, or a node was not cleaned in time.")]
pub struct Uninstall {
    /// Names.
    #[command(flatten)]
    pub names: Names,
    /// Istio's root namespace [default: istio-system]
    #[arg(long, value_name = "NAME")]
    pub root_namespace: Option<String>,
    /// Do not unload the nodes
    #[arg(long, requires = "apply")]
    pub keep_programs: bool,
    /// How many seconds the nodes have
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// The cluster.
    #[command(flatten)]
    pub target: Target,
}

/// What both name.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// The namespace of steer [default: steer-system]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The image of steer's pods [default: this version's; of uninstall with --apply, the installed one]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
}

/// Which cluster, and what is done to it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct Target {
    /// Do it, instead of printing the manifest
    #[arg(long)]
    pub apply: bool,
    /// Let the API server check everything and change nothing
    #[arg(long, requires = "apply")]
    pub dry_run: bool,
    /// The kubeconfig; without it KUBECONFIG, ~/.kube/config, or the pod's service account
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "apply")]
    pub context: Option<String>,
}

impl Install {
    /// What of the manifests is otherwise.
    pub(in crate::cli) fn options(&self) -> Options {
        Options {
            namespace: self.names.namespace.clone(),
            image: self.names.image.clone(),
            cgroup: self.cgroup.clone(),
            root_namespace: self.root_namespace.clone(),
            mesh_config: self.mesh_config.clone(),
        }
    }
}

impl Uninstall {
    /// What of the manifests is otherwise.
    pub(in crate::cli) fn options(&self) -> Options {
        Options {
            namespace: self.names.namespace.clone(),
            image: self.names.image.clone(),
            root_namespace: self.root_namespace.clone(),
            ..Options::default()
        }
    }

    /// How long the nodes have.
    pub(in crate::cli) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

impl Target {
    /// How the API server is reached.
    pub(in crate::cli) fn access(&self) -> Access {
        Access {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        }
    }
}
