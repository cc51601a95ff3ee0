//! What `steer explain` is asked: who dials what.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use steer_common::{Port, Proto, egress::PolicyId, service::ClassId};

use crate::{
    cli::{
        args::Explain,
        instance::{InForce, Seen, transport},
    },
    image::ServiceName,
};

/// Who dials what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Question {
    /// The client, as it is told.
    pub(super) source: String,
    /// Its class; `None` if it is not known.
    pub(super) class: Option<ClassId>,
    /// The cookie of its network namespace, if it is known.
    pub(super) cookie: Option<u64>,
    /// Its egress policy.
    pub(super) policy: PolicyId,
    pub(super) dialled: SocketAddr,
    pub(super) proto: Proto,
}

/// A name outside that is asked about, with no address of a service behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct NameQuestion {
    /// The client, as it is told.
    pub(super) source: String,
    pub(super) policy: PolicyId,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) proto: Proto,
}

/// The question about a name, if it is that of no service, and names are looked at.
pub(in crate::cli) fn name_question(
    seen: &Seen,
    args: &Explain,
) -> anyhow::Result<Option<NameQuestion>> {
    let text = args.destination.as_str();
    let parts = text.rsplit_once(':');
    let parts = parts.and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    let Some((name, port)) = parts.filter(|_| text.parse::<SocketAddr>().is_err()) else {
        return Ok(None);
    };
    let routes = seen.routes();
    let mut services = routes.iter().filter_map(|found| found.service);
    let is_outside = name.contains('.') && !services.any(|service| is_called(service, name));
    if !seen.live.egress.settings.on || !is_outside {
        return Ok(None);
    }
    let client = client(seen, &args.source)?;
    Ok(Some(NameQuestion {
        source: told(client.as_ref()),
        policy: client.map_or(0, |client| client.policy),
        name: name.to_ascii_lowercase(),
        port,
        proto: if args.udp { Proto::Udp } else { Proto::Tcp },
    }))
}

fn told(client: Option<&Client>) -> String {
    client.map_or_else(
        || "a client that is not known".to_owned(),
        |client| format!("{}/{}", client.namespace, client.pod),
    )
}

/// Finds what was typed in what there is to be seen.
pub(in crate::cli) fn question(seen: &Seen, args: &Explain) -> anyhow::Result<Question> {
    let proto = if args.udp { Proto::Udp } else { Proto::Tcp };
    let client = client(seen, &args.source)?;
    let namespace = client.as_ref().map(|client| client.namespace.as_str());
    let dialled = destination(seen, &args.destination, proto, namespace)?;
    let source = told(client.as_ref());
    Ok(Question {
        source,
        class: client.as_ref().map(|client| client.class),
        policy: client.as_ref().map_or(0, |client| client.policy),
        cookie: client.map(|client| client.cookie),
        dialled,
        proto,
    })
}

/// A client; the default one is nobody that is known.
#[derive(Default)]
pub(in crate::cli) struct Client {
    pub(in crate::cli) namespace: String,
    pod: String,
    pub(in crate::cli) class: ClassId,
    policy: PolicyId,
    cookie: u64,
}

/// A pod that the kernel knows; none for `-`.
pub(in crate::cli) fn client(seen: &Seen, text: &str) -> anyhow::Result<Option<Client>> {
    if text == "-" {
        return Ok(None);
    }
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    let sources = seen.live.sources.iter();
    let mut found: Vec<Client> = sources
        .filter_map(|(&cookie, source)| {
            let pod = seen.names.workloads.get(&source.workload)?;
            let fits = pod.name == name && namespace.is_none_or(|wanted| pod.namespace == wanted);
            fits.then(|| Client {
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                class: source.class.number(),
                policy: source.policy.number(),
                cookie,
            })
        })
        .collect();
    let namespaces: BTreeSet<&String> = found.iter().map(|found| &found.namespace).collect();
    if namespaces.len() > 1 {
        let namespaces: Vec<&str> = namespaces.iter().map(|name| name.as_str()).collect();
        anyhow::bail!(
            "there is a pod {name} in each of the namespaces {}; write NAMESPACE/{name}",
            namespaces.join(", ")
        );
    }
    found.pop().map(Some).ok_or_else(|| {
        anyhow::anyhow!(
            "the kernel knows no pod {text} as a client: `steer get workloads` lists those it \
             knows, - stands for a client that is not known"
        )
    })
}

/// What is dialled: an address, or the address of a service by its name.
fn destination(
    seen: &Seen,
    text: &str,
    proto: Proto,
    namespace: Option<&str>,
) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let parts = text.rsplit_once(':');
    let Some((name, port)) = parts.filter(|(name, _)| !name.is_empty()) else {
        anyhow::bail!("{text:?} is not HOST:PORT, e.g. catalog:80 or [fd00::1]:80");
    };
    let Ok(port) = port.parse::<u16>() else {
        anyhow::bail!("{port:?} is not a port: a number up to 65535");
    };
    let routes = seen.routes();
    let services: BTreeSet<&ServiceName> =
        routes.iter().filter_map(|found| found.service).collect();
    let named: BTreeSet<&str> = services
        .iter()
        .filter(|service| is_called(service, name))
        .map(|service| service.host.as_str())
        .collect();
    // As a client's resolver does, names of its own namespace come first.
    let own = namespace.map(|namespace| format!("{name}.{namespace}."));
    let own = own.and_then(|own| named.iter().copied().find(|host| host.starts_with(&own)));
    let hosts: Vec<&str> = named.iter().copied().collect();
    let host = match (own, hosts.as_slice()) {
        (Some(host), _) | (None, &[host]) => host,
        (None, []) => anyhow::bail!(
            "the kernel holds no service {name}: `steer get services` lists those it holds; an \
             address can be named too"
        ),
        (None, hosts) => anyhow::bail!(
            "{name} is several services: name one of {}",
            hosts.join(", ")
        ),
    };
    address(&routes, host, port, proto)
}

/// Whether a service may be called so: `catalog`, `catalog.shop`, `catalog.shop.svc`, ...
fn is_called(service: &ServiceName, name: &str) -> bool {
    let rest = service.host.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The address of a port of a service; of its addresses, the first that is listed.
fn address(
    routes: &[InForce<'_>],
    host: &str,
    port: u16,
    proto: Proto,
) -> anyhow::Result<SocketAddr> {
    let of_host = || {
        routes
            .iter()
            .filter(|found| found.service.is_some_and(|service| service.host == host))
            .map(|found| found.key)
    };
    let mut fitting = of_host()
        .filter(|key| key.port == Port::new(port) && key.proto == proto as u8)
        .map(|key| key.addr.to_ip());
    if let Some(ip) = fitting.next() {
        return Ok(SocketAddr::new(ip, port));
    }
    let ports: BTreeSet<String> = of_host()
        .filter_map(|key| Some(format!("{}/{}", key.port, transport(key)?)))
        .collect();
    let ports: Vec<String> = ports.into_iter().collect();
    let address: Option<IpAddr> = of_host().next().map(|key| key.addr.to_ip());
    let address = address.map_or_else(String::new, |ip| {
        format!("; {} can be named too", SocketAddr::new(ip, port))
    });
    anyhow::bail!(
        "{host} has no port {port}/{proto}, but {}{address}",
        ports.join(", ")
    )
}
