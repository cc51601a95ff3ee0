//! Service (`v1`).

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, Error, Unexpected, Visitor},
};

use crate::source::object::Kind;

/// `Service.spec`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// ClusterIP (default), NodePort, LoadBalancer, ExternalName.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Which pods.
    pub selector: BTreeMap<String, String>,
    /// The first cluster address; `None` for headless services.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// All cluster addresses, at most one a family.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// Addresses outside the cluster that lead here.
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// None (default) or ClientIP.
    pub session_affinity: Option<String>,
    /// How long affinity holds.
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// The name that an ExternalName service stands for.
    pub external_name: Option<String>,
    /// Endpoints count whether or not they are ready.
    pub publish_not_ready_addresses: bool,
    /// Cluster (default) or Local.
    pub internal_traffic_policy: Option<String>,
    /// PreferClose and the like.
    pub traffic_distribution: Option<String>,
}

impl Kind for Service {
    const KIND: &'static str = "Service";
}

/// `Service.spec.ports[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its name; endpoint slices refer to it.
    pub name: String,
    /// TCP (default), UDP, SCTP.
    pub protocol: Option<String>,
    /// The number that clients dial.
    pub port: u16,
    /// Number or name of the pods' port; the same number by default.
    pub target_port: Option<TargetPort>,
    /// The port on every node.
    pub node_port: Option<u16>,
    /// What is spoken on it.
    pub app_protocol: Option<String>,
}

/// A port by number or by a container port's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

impl<'de> Deserialize<'de> for TargetPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Port;
        impl Visitor<'_> for Port {
            type Value = TargetPort;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 65535, or the name of a port")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<TargetPort, E> {
                let unexpected = Unexpected::Unsigned(number);
                u16::try_from(number)
                    .map(TargetPort::Number)
                    .map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<TargetPort, E> {
                if name.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(E::invalid_value(Unexpected::Str(name), &self));
                }
                Ok(TargetPort::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(Port)
    }
}

/// `Service.spec.sessionAffinityConfig`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionAffinityConfig {
    /// For ClientIP.
    #[serde(rename = "clientIP")]
    pub client_ip: Option<ClientIpConfig>,
}

/// `Service.spec.sessionAffinityConfig.clientIP`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIpConfig {
    /// 1 to 86400, 10800 by default.
    pub timeout_seconds: Option<u32>,
}
