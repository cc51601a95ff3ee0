//! `steer explain`: the very decision the kernel takes, over a copy of its maps.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use steer_common::{
    Port, Proto,
    logic::{Decision, Dialled, decide},
    service::ClassId,
};

use super::{
    Exit,
    args::{Explain, Format, Instance},
    get::{position, rule_text},
    instance::Seen,
    output,
};
use crate::live::Asked;

#[derive(Serialize)]
struct Explained {
    source: String,
    class: String,
    dialled: String,
    transport: &'static str,
    outcome: &'static str,
    reason: &'static str,
    endpoint: Option<String>,
    steps: Vec<String>,
}

/// Explains one connection.
pub(super) fn run(args: &Explain, instance: &Instance) -> anyhow::Result<Exit> {
    let seen = instance.read()?;
    let proto = if args.udp { Proto::Udp } else { Proto::Tcp };
    let (source, class) = source(&seen, &args.source)?;
    let dialled = destination(&seen, &args.destination, proto)?;
    let explained = explain(&seen, &source, class, dialled, proto);
    match args.output.output {
        Format::Json | Format::Yaml => output::document(&explained, args.output.output)?,
        Format::Table | Format::Wide => output::write(&text(&explained))?,
    }
    Ok(if explained.outcome == "refused" {
        Exit::No
    } else {
        Exit::Done
    })
}

/// Who asks: the class of a pod that the kernel knows.
fn source(seen: &Seen, text: &str) -> anyhow::Result<(String, Option<ClassId>)> {
    if text == "-" {
        return Ok(("a client that is not known".to_owned(), None));
    }
    let fits = |pod: &crate::desired::model::PodRef| match text.split_once('/') {
        Some((namespace, name)) => pod.namespace == namespace && pod.name == name,
        None => pod.name == text,
    };
    let found: Vec<_> = seen
        .live
        .sources
        .values()
        .filter_map(|source| Some((seen.names.workloads.get(&source.workload)?, source.class)))
        .filter(|(pod, _)| fits(pod))
        .collect();
    match found.as_slice() {
        [(pod, class)] => Ok((pod.to_string(), Some(*class))),
        [] => anyhow::bail!(
            "the kernel knows no pod {text}; `steer get workloads` lists those it knows, - stands for a client that is not known"
        ),
        _ => anyhow::bail!("there are several pods {text}; write NAMESPACE/POD"),
    }
}

/// What is dialled: an address, or the address of a service by its name.
fn destination(seen: &Seen, text: &str, proto: Proto) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((name, port)) = text.rsplit_once(':') else {
        anyhow::bail!("{text:?} is not HOST:PORT");
    };
    let port: u16 = port
        .parse()
        .map_err(|_| anyhow::anyhow!("{port:?} is not a port"))?;
    let fits = |host: &str| host == name || host.starts_with(&format!("{name}."));
    let mut addresses: Vec<(String, IpAddr)> = seen
        .routes()
        .iter()
        .filter(|found| found.key.port == Port::new(port) && found.key.proto == proto as u8)
        .filter_map(|found| {
            let host = &found.service?.host;
            fits(host).then(|| (host.clone(), found.key.addr.to_ip()))
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    let hosts: std::collections::BTreeSet<&String> =
        addresses.iter().map(|(host, _)| host).collect();
    match (hosts.len(), addresses.first()) {
        (1, Some((_, address))) => Ok(SocketAddr::new(*address, port)),
        (0, _) | (_, None) => anyhow::bail!(
            "the kernel holds no service {name} with {proto} port {port}; `steer get services` lists them"
        ),
        _ => anyhow::bail!("{name} is several services ({hosts:?}); write the namespace too"),
    }
}

fn explain(
    seen: &Seen,
    source: &str,
    class: Option<ClassId>,
    dialled: SocketAddr,
    proto: Proto,
) -> Explained {
    let asked = Asked {
        live: &seen.live,
        class,
    };
    let wanted = Dialled {
        addr: dialled.ip().into(),
        port: Port::new(dialled.port()),
        proto,
    };
    let client = class.map_or_else(|| "*".to_owned(), |class| seen.class(class));
    let mut steps = vec![format!(
        "{source} dials {dialled}/{proto}; its class is {client}"
    )];
    let (outcome, reason, endpoint) = match decide(&asked, &wanted) {
        Decision::Pass(reason) => ("left as dialled", reason, None),
        Decision::Refuse(reason) => {
            route(seen, &wanted, class, &mut steps);
            ("refused", reason, None)
        }
        Decision::Steer(steered) => {
            route(seen, &wanted, class, &mut steps);
            let ticket = seen
                .live
                .tickets
                .get(&steered.route.split)
                .copied()
                .unwrap_or_default();
            let name = seen
                .destinations(steered.route)
                .nth(steered.destination as usize);
            let cluster = name
                .and_then(|(name, ..)| name)
                .map_or_else(|| "?".to_owned(), crate::image::DestinationName::cluster);
            let pod = seen.names.workloads.get(&steered.endpoint.workload);
            let pod = pod.map_or_else(String::new, |pod| format!(" ({pod})"));
            steps.push(format!(
                "the next ticket is {ticket}: it belongs to {cluster}"
            ));
            steps.push(format!(
                "its turn is the endpoint {}{pod}",
                steered.endpoint.peer()
            ));
            (
                "steered",
                steered.reason,
                Some(steered.endpoint.peer().to_string()),
            )
        }
    };
    steps.push(format!("{outcome}: {}", reason.help()));
    Explained {
        source: source.to_owned(),
        class: client,
        dialled: dialled.to_string(),
        transport: proto.name(),
        outcome,
        reason: reason.name(),
        endpoint,
        steps,
    }
}

/// Tells of the route that decides: that of the class, if it has one of its own.
fn route(seen: &Seen, wanted: &Dialled, class: Option<ClassId>, steps: &mut Vec<String>) {
    let key = |class| steer_common::ServiceKey::new(class, wanted.addr, wanted.port, wanted.proto);
    let row = |class| seen.live.routes.get(seen.live.services.get(&key(class))?);
    let Some(found) = class.and_then(row).or_else(|| row(0)) else {
        return;
    };
    if let Some(service) = seen.names.services.get(&found.service) {
        steps.push(format!(
            "it is the port {} ({}) of {}",
            wanted.port, service.protocol, service.host
        ));
    }
    let rule = seen.names.rules.get(&found.rule);
    let text = rule.map_or_else(|| "?".to_owned(), |rule| rule_text(rule));
    let place = rule
        .and_then(|rule| position(rule))
        .map_or_else(String::new, |place| format!(", {place}"));
    let decided = if text == "-" {
        "no rule: all its endpoints".to_owned()
    } else {
        format!("the rule is {text}{place}")
    };
    steps.push(format!(
        "{decided} (generation {}, depth {})",
        found.generation,
        found.depth().name()
    ));
    for (name, connections, placed) in seen.destinations(found) {
        let cluster = name.map_or_else(|| "?".to_owned(), crate::image::DestinationName::cluster);
        steps.push(format!(
            "  {cluster}: {} of {}, {} endpoints, {connections} connections so far",
            placed.weight, found.total, placed.count
        ));
    }
}

fn text(explained: &Explained) -> String {
    explained
        .steps
        .iter()
        .map(|step| format!("{step}\n"))
        .collect()
}
