//! Options of the egress guard.

use std::net::IpAddr;

use clap::ValueEnum;

use crate::{
    desired::{Settings, egress::Strictness},
    image::egress::Limits,
    source::{istio::Outbound, subnet::Subnet},
};

/// What pods may reach, and how refusals look.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Egress")]
pub struct Egress {
    /// What becomes of connections to what the registry does not name, instead of what the mesh's
    /// configuration says; Sidecars may say otherwise
    #[arg(long, value_enum, value_name = "MODE")]
    pub outbound_traffic_policy: Option<Mode>,
    /// Whether such connections are refused or only counted and told, where no annotation
    /// steer.dev/egress says so
    #[arg(long = "egress-mode", value_enum, value_name = "MODE")]
    pub judged: Option<Judged>,
    /// A resolver whose answers are believed, instead of the cluster's DNS service; may be given
    /// several times
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,
    /// A network of pods or services: no name outside is believed to be in it; may be given several
    /// times
    #[arg(long, value_name = "CIDR", value_parser = subnet)]
    pub cluster_cidr: Vec<Subnet>,
    /// What a refused connect fails with
    #[arg(
        long = "egress-errno",
        value_enum,
        default_value_t,
        value_name = "ERRNO"
    )]
    pub errno: Errno,
    /// An address that DNS gave a name is good for at least so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().ttl_min_secs)]
    pub dns_ttl_min: u32,
}

/// `outboundTrafficPolicy.mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// They go where they are dialled
    #[value(name = "ALLOW_ANY", alias = "allow-any")]
    AllowAny,
    /// They are refused
    #[value(name = "REGISTRY_ONLY", alias = "registry-only")]
    RegistryOnly,
}

/// `steer.dev/egress`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Judged {
    /// Refuse
    Enforce,
    /// Count and tell, refuse nothing
    Audit,
}

/// An error of `connect`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Errno {
    /// Connection refused
    #[default]
    #[value(name = "ECONNREFUSED")]
    Refused,
    /// No route to host
    #[value(name = "EHOSTUNREACH")]
    HostUnreachable,
    /// Network is unreachable
    #[value(name = "ENETUNREACH")]
    NetworkUnreachable,
    /// Operation not permitted
    #[value(name = "EPERM")]
    NotPermitted,
}

impl Egress {
    /// Settings with what was typed here.
    pub(in crate::cli) fn settings(&self, settings: Settings) -> Settings {
        Settings {
            outbound: self.outbound_traffic_policy.map(|mode| match mode {
                Mode::AllowAny => Outbound::AllowAny,
                Mode::RegistryOnly => Outbound::RegistryOnly,
            }),
            strictness: self.judged.map(|mode| match mode {
                Judged::Enforce => Strictness::Enforce,
                Judged::Audit => Strictness::Audit,
            }),
            dns: self.dns.clone(),
            cluster_nets: self.cluster_cidr.clone(),
            ..settings
        }
    }

    /// How refusals look.
    pub(in crate::cli) fn limits(&self) -> Limits {
        use steer_common::egress::meta;
        Limits {
            errno: match self.errno {
                Errno::Refused => meta::ECONNREFUSED,
                Errno::HostUnreachable => meta::EHOSTUNREACH,
                Errno::NetworkUnreachable => meta::ENETUNREACH,
                Errno::NotPermitted => meta::EPERM,
            },
            ttl_min_secs: self.dns_ttl_min,
            ..Limits::default()
        }
    }
}

fn subnet(text: &str) -> Result<Subnet, String> {
    Subnet::parse(text).ok_or_else(|| format!("{text:?} is not a network, e.g. 10.0.0.0/8"))
}
