//! What stands where: the bookstore of the acceptance steps.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
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
/// Another address of it, which nobody declares.
pub const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
/// The same in IPv6.
pub const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11);
/// The name of that.
pub const ELSEWHERE_NAME: &str = "httpbin.org";
/// The server that knows the names.
pub const DNS_POD: &str = "kube-dns";

/// The two versions of the catalog as subsets.
pub const CATALOG_SUBSETS: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: istioinaction}
spec:
  host: catalog
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
";

/// Where the catalog is dialled.
pub fn catalog() -> SocketAddr {
    SocketAddr::from(([10, 200, 1, 92], 80))
}

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
    cluster(name, &bookstore_cluster(), |manifest| manifest, change)
}

/// The bookstore with servers for storms of connections in place of its web servers.
pub fn bookstore_for_storms(name: &str) -> Result<Lab> {
    let change = Manifest::with_identity_servers;
    cluster(name, &bookstore_cluster(), change, |builder| builder)
}

/// The directory of the service `echo`, which speaks TCP and UDP in two versions.
pub fn echo_directory() -> PathBuf {
    bins::workspace().join("tests/data/echo")
}

/// Raises a client and the service `echo`.
pub fn echo(name: &str) -> Result<Lab> {
    let path = echo_directory().join("cluster.yaml");
    cluster(name, &path, |manifest| manifest, |builder| builder)
}

/// Raises the cluster of a file of Kubernetes YAML, and makes the file the agent's configuration.
pub fn cluster(
    name: &str,
    path: &Path,
    plan: impl FnOnce(Manifest) -> Manifest,
    change: impl FnOnce(Builder) -> Builder,
) -> Result<Lab> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let manifest = Manifest::parse(&text, &Network::default().domain)
        .with_context(|| format!("understand {}", path.display()))?;
    let lab = raise(name, &plan(manifest), change)?;
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
    let elsewhere: [IpAddr; 2] = [ELSEWHERE_V4.into(), ELSEWHERE_V6.into()];
    let builder = Lab::builder(name)
        .hosts(manifest.pods.iter().map(|plan| plan.host.clone()))
        .host(HostSpec::outside(OUTSIDE, [outside, elsewhere].concat()));
    let lab = change(builder).build()?;
    let mut names = manifest.names.clone();
    for (name, addresses) in [(OUTSIDE_NAME, outside), (ELSEWHERE_NAME, elsewhere)] {
        names.push(Name {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
        });
    }
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
            .try_for_each(|port| http::start_with(pod, *port, &plan.upstreams)),
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
