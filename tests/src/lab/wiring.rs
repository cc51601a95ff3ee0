//! How a host is joined to the node: a routed veth pair, as the `ptp` plug-in of CNI does it.
//!
//! The node answers for the gateway on every veth and has a route to each address, so packets
//! between pods pass its routing and its packet filter.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::BorrowedFd,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{HostSpec, NODE};
use crate::{
    cgroup::Cgroup,
    dirs::Dirs,
    link::{self, Route},
    netns,
    pod::{Pod, cgroup_of},
    process::{self, Birth},
    record::{HostRecord, Kind},
};

/// The kernel's limit on names of interfaces.
const INTERFACE_NAME_MAX: usize = 15;
/// The gateway of every host, in IPv6.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The addresses that all labs share; each has namespaces of its own.
#[derive(Clone, Debug)]
pub struct Network {
    /// The node's address for its pods: their gateway.
    pub pod_gateway: Ipv4Addr,
    /// The node's address for machines outside: their gateway.
    pub uplink: Ipv4Addr,
    /// The node's IPv6 addresses.
    pub node_v6: [Ipv6Addr; 2],
    /// Networks of services: unreachable but for those who are steered.
    pub services: [(IpAddr, u8); 2],
    /// Where pods resolve names.
    pub nameserver: IpAddr,
    /// Domain of the cluster.
    pub domain: String,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            pod_gateway: Ipv4Addr::new(10, 10, 0, 1),
            uplink: Ipv4Addr::new(192, 0, 2, 1),
            node_v6: [
                Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            ],
            services: [
                (Ipv4Addr::new(10, 200, 0, 0).into(), 16),
                (Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 0).into(), 32),
            ],
            nameserver: Ipv4Addr::new(10, 200, 1, 10).into(),
            domain: "cluster.local".to_owned(),
        }
    }
}

/// Raises the node: a router without interfaces yet.
pub(super) fn raise_node(dirs: &Dirs, network: &Network) -> Result<Pod> {
    let mut addresses: Vec<IpAddr> = vec![network.uplink.into(), network.pod_gateway.into()];
    addresses.extend(network.node_v6.map(IpAddr::from));
    let spec = HostSpec {
        kind: Kind::Node,
        ..HostSpec::pod(NODE, addresses)
    };
    let node = bear(dirs, spec, &[])?;
    sysctl(
        node.net(),
        &[
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            // Every refused packet is answered, however many there are.
            ("net/ipv4/icmp_ratemask", "0"),
            ("net/ipv6/icmp/ratelimit", "0"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
        ],
    )?;
    let record = node.record();
    netns::netlink(node.net(), |handle| async move {
        link::set_up(&handle, link::LOOPBACK).await?;
        for address in &record.addresses {
            link::add_address(&handle, link::LOOPBACK, *address).await?;
        }
        for services in network.services {
            link::add_route(&handle, Route::unreachable(services)).await?;
        }
        Ok(())
    })?;
    Ok(node)
}

/// Raises a pod or a machine outside, and joins it to the node. The first machine outside is the
/// node's uplink: what has no other way goes there.
pub(super) fn raise(dirs: &Dirs, network: &Network, hosts: &[Pod], spec: HostSpec) -> Result<Pod> {
    let node = hosts.first().context("the node is raised first")?;
    let number = hosts.len();
    let outside = |host: &Pod| host.record().kind == Kind::Outside;
    let uplink = spec.kind == Kind::Outside && !hosts.iter().any(outside);
    let directory = dirs.host(&spec.name);
    fs::create_dir_all(&directory)?;
    let files = [
        (directory.join("resolv.conf"), resolv_conf(network, &spec)),
        (directory.join("hosts"), hosts_file(&spec)),
    ];
    for (path, text) in &files {
        fs::write(path, text)?;
    }
    let [(resolv, _), (hosts, _)] = &files;
    let over = [
        (resolv.as_path(), Path::new("/etc/resolv.conf")),
        (hosts.as_path(), Path::new("/etc/hosts")),
    ];
    let pod = bear(dirs, spec, &over)?;
    // Storms of connections need the ports, and no server listens that high.
    sysctl(
        pod.net(),
        &[("net/ipv4/ip_local_port_range", "10240 65535")],
    )?;
    let interface = interface_name(number, pod.name());
    join(network, node, &pod, &interface)?;
    if uplink {
        lead_outside(node, &pod, &interface)?;
    }
    Ok(pod)
}

/// Starts the keeper of a host in a cgroup of its own.
fn bear(dirs: &Dirs, spec: HostSpec, files: &[(&Path, &Path)]) -> Result<Pod> {
    let cgroup = Cgroup::create(cgroup_of(dirs, spec.kind, &spec.name).path())?;
    let birth = Birth {
        hostname: &spec.name,
        cgroup: &cgroup,
        files,
    };
    let keeper = process::pause(&birth)?;
    let record = HostRecord {
        name: spec.name,
        kind: spec.kind,
        namespace: spec.namespace,
        labels: spec.labels,
        addresses: spec.addresses,
        pause: i32::try_from(keeper.id())?,
    };
    let pod = Pod::new(dirs, record)?;
    pod.adopt(keeper);
    // Before any interface is made: addresses are what the lab says, and usable at once.
    sysctl(
        pod.net(),
        &[
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/addr_gen_mode", "1"),
            ("net/ipv6/conf/default/accept_ra", "0"),
        ],
    )?;
    Ok(pod)
}

/// The pair of interfaces between the node and a host, and the routes of both.
fn join(network: &Network, node: &Pod, pod: &Pod, name: &str) -> Result<()> {
    let record = pod.record();
    let here: &str = "eth0";
    netns::netlink(node.net(), |handle| async move {
        let veth = link::add_veth(&handle, name, here, pod.net()).await?;
        link::add_address(&handle, veth, GATEWAY_V6.into()).await?;
        for address in &record.addresses {
            link::add_route(&handle, Route::to_host(*address, veth)).await?;
        }
        Ok(())
    })?;
    let gateway_v4 = match record.kind {
        Kind::Outside => network.uplink,
        Kind::Node | Kind::Pod => network.pod_gateway,
    };
    netns::netlink(pod.net(), |handle| async move {
        link::set_up(&handle, link::LOOPBACK).await?;
        let eth = link::index(here)?;
        link::set_up(&handle, eth).await?;
        for address in &record.addresses {
            link::add_address(&handle, eth, *address).await?;
        }
        for gateway in [IpAddr::from(gateway_v4), GATEWAY_V6.into()] {
            if record
                .addresses
                .iter()
                .any(|address| address.is_ipv4() == gateway.is_ipv4())
            {
                link::add_route(&handle, Route::default_through(gateway, eth)).await?;
            }
        }
        Ok(())
    })
}

/// The node's default routes.
fn lead_outside(node: &Pod, outside: &Pod, interface: &str) -> Result<()> {
    netns::netlink(node.net(), |handle| async move {
        let veth = link::index(interface)?;
        for next in [outside.v4(), outside.v6()].into_iter().flatten() {
            link::add_route(&handle, Route::default_through(next, veth)).await?;
        }
        Ok(())
    })
}

fn sysctl(net: BorrowedFd<'_>, settings: &[(&str, &str)]) -> Result<()> {
    // `/proc/sys/net` shows the network namespace of the thread that looks.
    netns::inside(net, || {
        for (name, value) in settings {
            fs::write(Path::new("/proc/sys").join(name), value)
                .with_context(|| format!("set {name} to {value}"))?;
        }
        Ok(())
    })
}

/// As Kubernetes writes it for the default policy, `ClusterFirst`.
fn resolv_conf(network: &Network, spec: &HostSpec) -> String {
    let Network {
        domain, nameserver, ..
    } = network;
    let namespace = &spec.namespace;
    match spec.kind {
        Kind::Outside => String::new(),
        Kind::Node | Kind::Pod => format!(
            "nameserver {nameserver}\n\
             search {namespace}.svc.{domain} svc.{domain} {domain}\n\
             options ndots:5\n"
        ),
    }
}

fn hosts_file(spec: &HostSpec) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost\n");
    for address in &spec.addresses {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{address}\t{}", spec.name);
    }
    text
}

/// The node's end of a pair: readable, unique, short enough.
fn interface_name(number: usize, host: &str) -> String {
    let name = format!("veth-{host}");
    if name.len() <= INTERFACE_NAME_MAX {
        return name;
    }
    let number = format!("veth{number}-");
    let room = INTERFACE_NAME_MAX - number.len();
    number + host.get(..room).unwrap_or("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_fit_the_kernel() {
        assert_eq!(interface_name(3, "catalog-v1"), "veth-catalog-v1");
        assert_eq!(interface_name(12, "catalog-v1-primary"), "veth12-catalog-");
    }

    #[test]
    fn a_pod_searches_its_namespace_first() {
        let spec = HostSpec {
            namespace: "istioinaction".to_owned(),
            ..HostSpec::pod("webapp", [Ipv4Addr::new(10, 10, 0, 14).into()])
        };
        let text = resolv_conf(&Network::default(), &spec);
        assert!(text.contains("nameserver 10.200.1.10\n"));
        assert!(text.contains("search istioinaction.svc.cluster.local svc.cluster.local"));
    }
}
