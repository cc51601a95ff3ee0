//! Kubernetes YAML as a plan of a lab: its pods become hosts, its services become names.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{lab::HostSpec, server::dns::Name};

/// The parts of a cluster that a lab is raised from.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Its pods.
    pub pods: Vec<PodPlan>,
    /// Names of its services with their addresses.
    pub names: Vec<Name>,
}

/// One pod, and the server its image stands for.
#[derive(Clone, Debug)]
pub struct PodPlan {
    /// The host.
    pub host: HostSpec,
    /// Image of its first container.
    pub image: String,
    /// Ports of that container.
    pub ports: Vec<u16>,
    /// Services that it calls, by the variables of its environment.
    pub upstreams: Vec<Upstream>,
}

/// A service that a web server calls for its own clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Short name: `catalog` of `CATALOG_SERVICE_HOST`.
    pub name: String,
    /// The variable's value: a name or an address.
    pub host: String,
    /// Value of `CATALOG_SERVICE_PORT`, or 80.
    pub port: u16,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    image: String,
    #[serde(default)]
    ports: Vec<ContainerPort>,
    #[serde(default)]
    env: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    container_port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: IpAddr,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(default, rename = "clusterIPs")]
    cluster_ips: Vec<String>,
}

impl Manifest {
    /// Puts `steer-lab-server` into the place of every web server, for storms of connections.
    #[must_use]
    pub fn with_identity_servers(mut self) -> Self {
        for plan in &mut self.pods {
            if plan.image.starts_with("nginx") {
                "steer-lab-server".clone_into(&mut plan.image);
            }
        }
        self
    }

    /// The plan that `text` describes.
    pub fn parse(text: &str, domain: &str) -> Result<Self> {
        let mut manifest = Self::default();
        for object in serde_saphyr::from_multiple::<Object>(text)? {
            match object.kind.as_str() {
                "Pod" => manifest.pods.push(pod(object)?),
                "Service" => manifest.names.extend(service(object, domain)?),
                // Namespaces and endpoints are for the agent.
                _ => {}
            }
        }
        if manifest.pods.is_empty() {
            bail!("there is no Pod in it");
        }
        Ok(manifest)
    }
}

fn pod(object: Object) -> Result<PodPlan> {
    let Metadata {
        name,
        namespace,
        labels,
    } = object.metadata;
    let spec: PodSpec = part(object.spec, &name)?;
    let status: PodStatus = part(object.status, &name)?;
    let addresses = status.pod_ips.iter().map(|pod_ip| pod_ip.ip);
    let container = spec.containers.into_iter().next();
    let container = container.with_context(|| format!("the pod {name} has no container"))?;
    let mut ports: Vec<_> = container
        .ports
        .iter()
        .map(|port| port.container_port)
        .collect();
    // A port may be listed for TCP and for UDP.
    ports.dedup();
    Ok(PodPlan {
        host: HostSpec {
            namespace,
            labels,
            ..HostSpec::pod(&name, addresses)
        },
        image: container.image,
        ports,
        upstreams: upstreams(&container.env)?,
    })
}

fn upstreams(env: &[Variable]) -> Result<Vec<Upstream>> {
    let mut found = Vec::new();
    for variable in env {
        let Some(name) = variable.name.strip_suffix("_SERVICE_HOST") else {
            continue;
        };
        let port = format!("{name}_SERVICE_PORT");
        let port = env.iter().find(|other| other.name == port);
        found.push(Upstream {
            name: name.to_lowercase(),
            host: variable.value.clone(),
            port: port.map_or(Ok(80), |port| port.value.parse())?,
        });
    }
    Ok(found)
}

fn service(object: Object, domain: &str) -> Result<Option<Name>> {
    let Metadata {
        name, namespace, ..
    } = object.metadata;
    let spec: ServiceSpec = part(object.spec, &name)?;
    // Headless services say `None`.
    let addresses: Vec<_> = spec
        .cluster_ips
        .iter()
        .filter_map(|ip| ip.parse().ok())
        .collect();
    let named = !addresses.is_empty();
    Ok(named.then(|| Name {
        name: format!("{name}.{namespace}.svc.{domain}"),
        addresses,
    }))
}

fn part<T: DeserializeOwned>(value: Value, name: &str) -> Result<T> {
    serde_json::from_value(value).with_context(|| format!("understand {name}"))
}
