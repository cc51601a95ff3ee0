//! `steer learn`: the ServiceEntries that would have allowed what was refused, or would have been.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    Exit,
    args::{Format, Instance, Learn},
    output,
};
use crate::{
    control::{Counted, read_refusals},
    source::validate::names::fqdn,
};

/// Prints them.
pub(super) fn run(args: &Learn, instance: &Instance) -> anyhow::Result<Exit> {
    let seen = read_refusals(&instance.state)
        .with_context(|| format!("reading the refusals in {}", instance.state.display()))?;
    let entries = entries(&seen, args.namespace.as_deref());
    output::write(&text(&entries, args.output.output)?)?;
    if entries.is_empty() {
        output::remark("nothing was refused, or would have been");
    }
    Ok(Exit::Done)
}

/// As YAML documents that can be applied, or a list in JSON.
pub(super) fn text(entries: &[Value], format: Format) -> anyhow::Result<String> {
    if format == Format::Json {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": entries});
        return Ok(serde_json::to_string_pretty(&list)? + "\n");
    }
    let documents: Result<Vec<String>, _> = entries.iter().map(serde_saphyr::to_string).collect();
    Ok(documents?.join("---\n"))
}

/// What one ServiceEntry is for: a name, or an address without one, in a namespace.
type Wanted = (String, Result<String, IpAddr>);

/// The entries, by namespace and host.
pub(super) fn entries(seen: &[Counted], namespace: Option<&str>) -> Vec<Value> {
    let mut wanted: BTreeMap<Wanted, BTreeSet<(u16, &'static str)>> = BTreeMap::new();
    for found in seen {
        let refusal = &found.refusal;
        let own = refusal
            .pod
            .as_ref()
            .map_or("default", |pod| pod.namespace.as_str());
        if refusal.port == 0 || namespace.is_some_and(|namespace| namespace != own) {
            continue;
        }
        let name = refusal.name.as_ref().filter(|name| fqdn(name).is_ok());
        let to = name.cloned().ok_or(refusal.address);
        let protocol = protocol(refusal.port, refusal.protocol, to.is_ok());
        let ports = wanted.entry((own.to_owned(), to)).or_default();
        ports.insert((refusal.port, protocol));
    }
    wanted
        .into_iter()
        .map(|((own, to), ports)| entry(&own, &to, &ports))
        .collect()
}

/// What is probably spoken there. Without a name there is nothing that first bytes could be held to.
fn protocol(port: u16, proto: u32, named: bool) -> &'static str {
    match (proto, port) {
        (17, _) => "UDP",
        (_, 80 | 8080) if named => "HTTP",
        (_, 443 | 8443) if named => "TLS",
        _ => "TCP",
    }
}

fn entry(
    namespace: &str,
    to: &Result<String, IpAddr>,
    ports: &BTreeSet<(u16, &'static str)>,
) -> Value {
    let (host, addresses) = match to {
        Ok(name) => (name.clone(), json!([])),
        Err(address) => {
            let digits = address.to_string().replace(['.', ':'], "-");
            (
                format!("address-{}.invalid", digits.trim_matches('-')),
                json!([address.to_string()]),
            )
        }
    };
    let ports: Vec<Value> = ports
        .iter()
        .map(|(number, protocol)| {
            let name = format!("{}-{number}", protocol.to_lowercase());
            json!({"number": number, "name": name, "protocol": protocol})
        })
        .collect();
    let mut spec = json!({
        "hosts": [host],
        "location": "MESH_EXTERNAL",
        "exportTo": ["."],
        "ports": ports,
        "resolution": if to.is_ok() { "DNS" } else { "NONE" },
    });
    if to.is_err() {
        spec["addresses"] = addresses;
    }
    let name = format!("learned-{}", host.replace('.', "-").to_lowercase());
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}
