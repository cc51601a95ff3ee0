//! Options for metrics.

use std::net::SocketAddr;

use crate::control::MetricsSettings;

/// Where metrics are told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub struct Metrics {
    /// Count the traffic of this node's pods, and tell it at http://ADDRESS/metrics; whoever reaches the
    /// address can read who talks with whom
    #[arg(long = "metrics", value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Name of the cluster in labels
    #[arg(long, value_name = "NAME", default_value = "Kubernetes")]
    pub cluster_name: String,
}

impl Metrics {
    /// What is asked of the agent.
    pub(in crate::cli) fn settings(&self) -> Option<MetricsSettings> {
        Some(MetricsSettings {
            address: self.metrics?,
            cluster: self.cluster_name.clone(),
        })
    }
}
