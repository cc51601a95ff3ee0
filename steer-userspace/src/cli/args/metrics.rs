//! Options for metrics.

use std::net::{IpAddr, SocketAddr};

use crate::control::MetricsSettings;

/// Where metrics are told.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub struct Metrics {
    /// Count the traffic of this node's pods, and tell it at this address under /metrics; whoever
    /// reaches it can read who talks with whom
    #[arg(long = "metrics", value_name = "ADDRESS:PORT", value_parser = address)]
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

/// An address and a port; an IPv6 address may do without brackets, as Kubernetes writes those of nodes.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = || {
        let (ip, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(
            ip.parse::<IpAddr>().ok()?,
            port.parse().ok()?,
        ))
    };
    let found = text.parse().ok().or_else(bare);
    found.ok_or_else(|| format!("{text:?} is not an address and a port, e.g. 127.0.0.1:15020"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_brackets() {
        for (text, wanted) in [
            ("127.0.0.1:15020", "127.0.0.1:15020"),
            ("[::1]:15020", "[::1]:15020"),
            ("fd00::1:15020", "[fd00::1]:15020"),
        ] {
            assert_eq!(address(text), Ok(wanted.parse().unwrap()), "{text}");
        }
        for text in ["15020", "localhost:15020", "127.0.0.1", "127.0.0.1:x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
