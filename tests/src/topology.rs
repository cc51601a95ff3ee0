//! What stands where: the bookstore of the acceptance steps.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use crate::{
    bins,
    lab::{Builder, HostSpec, Lab, Network},
    manifest::{Manifest, PodPlan},
    pod::Pod,
    server::{
        dns::{self, Name},
        http,
        identity::Server,
    },
};

/// The host outside the cluster.
pub const OUTSIDE: &str = "outside";
/// Where it is.
pub const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// Where it is, in IPv6.
pub const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// A name of it.
pub const OUTSIDE_NAME: &str = "jsonplaceholder.typicode.com";
/// The server that knows the names.
pub const DNS_POD: &str = "kube-dns";

/// The directory of the example.
pub fn bookstore_directory() -> PathBuf {
    bins::workspace().join("examples/bookstore")
}

/// The bookstore's cluster: what Kubernetes says of it.
pub fn bookstore_cluster() -> PathBuf {
    bookstore_directory().join("cluster.yaml")
}

/// Raises the bookstore under `name`: hosts and servers, and the cluster as configuration.
pub fn bookstore(name: &str) -> Result<Lab> {
    bookstore_with(name, |builder| builder)
}

/// The bookstore with changes to its builder.
pub fn bookstore_with(name: &str, change: impl FnOnce(Builder) -> Builder) -> Result<Lab> {
    let path = bookstore_cluster();
    let manifest = Manifest::read(&path, &Network::default().domain)?;
    let lab = raise(name, &manifest, change)?;
    let text = std::fs::read_to_string(&path)?;
    lab.configure("cluster.yaml", &text)?;
    Ok(lab)
}

/// Raises the pods of `manifest` with their servers, and a host outside with a web server.
pub fn raise(
    name: &str,
    manifest: &Manifest,
    change: impl FnOnce(Builder) -> Builder,
) -> Result<Lab> {
    let outside: [IpAddr; 2] = [OUTSIDE_V4.into(), OUTSIDE_V6.into()];
    let builder = Lab::builder(name)
        .hosts(manifest.pods.iter().map(|plan| plan.host.clone()))
        .host(HostSpec::outside(OUTSIDE, outside));
    let lab = change(builder).build()?;
    let mut names = manifest.names.clone();
    names.push(Name {
        name: OUTSIDE_NAME.to_owned(),
        addresses: outside.to_vec(),
    });
    for plan in &manifest.pods {
        serve(lab.pod(&plan.host.name)?, plan, &names)
            .with_context(|| format!("start the server of {}", plan.host.name))?;
    }
    http::start(lab.pod(OUTSIDE)?, 80)?;
    Ok(lab)
}

/// The image says which server a pod runs; one that is not known here only calls others.
fn serve(pod: &Pod, plan: &PodPlan, names: &[Name]) -> Result<()> {
    let image = plan.image.rsplit('/').next().unwrap_or_default();
    let image = image.split(':').next().unwrap_or_default();
    match image {
        "nginx" => plan
            .ports
            .iter()
            .try_for_each(|port| http::start(pod, *port)),
        "dnsmasq" => dns::start(pod, &Network::default().domain, names),
        "steer-lab-server" => {
            let servers = plan.ports.iter().map(|port| Server::on_port(*port));
            let tcp = servers.clone().flat_map(|server| server.tcp).collect();
            let udp = servers.flat_map(|server| server.udp).collect();
            Server {
                tcp,
                udp,
                echo: false,
            }
            .start(pod)
        }
        _ => Ok(()),
    }
}
