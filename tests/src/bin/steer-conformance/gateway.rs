//! Calls of clients outside, at a gateway: listeners, virtual hosts and clusters.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use steer::{
    desired::{
        Desired, Settings,
        gateway::model::{Entrance, Inside, Listener, Site, VirtualHost},
        lower,
        model::{Destination, Rule, cluster_name},
    },
    requests::{self, ByName},
};

use crate::{
    resources::{Read, list},
    table::{Case, Outcome, Table},
};

/// The cluster's part of a name: upstream's resources have none.
const DOMAIN: &str = ".svc.cluster.local";

pub(crate) fn simulation(_: &Table, case: &Case) -> Result<Outcome> {
    let mut resources = [list(&case["resources"]), list(&case["kubeResources"])].concat();
    if resources.iter().any(|one| one["kind"] == "ServiceEntry") {
        let what = "the door of a gateway is a Service, not a ServiceEntry";
        return Ok(Outcome::Unsupported(what.to_owned()));
    }
    resources.push(door(&resources));
    let read = Read::values(&resources);
    if let Some(what) = read.unread() {
        return Ok(Outcome::Unsupported(what));
    }
    let desired = lower(&read.snapshot(), &Settings::default(), &BTreeSet::new());
    for call in list(&case["calls"]) {
        let wanted = call["Result"].as_object().context("Result")?;
        let got = answer(&desired, &call["Call"])?;
        // What succeeds has no error.
        let fields = wanted.keys().map(String::as_str).chain(["Error"]);
        let field = |name: &str| (name.to_owned(), got[name].clone());
        let got: Map<String, Value> = fields.map(field).collect();
        let mut wanted = wanted.clone();
        wanted.entry("Error").or_insert(Value::Null);
        let outcome = Outcome::compare(got, &Value::Object(wanted));
        if !matches!(outcome, Outcome::Passed) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Passed)
}

/// A Service with the ports of all servers. Upstream's gateway without one listens at these.
fn door(resources: &[Value]) -> Value {
    let gateways = resources.iter().filter(|one| one["kind"] == "Gateway");
    let servers = gateways.flat_map(|one| list(&one["spec"]["servers"]));
    let numbers: BTreeSet<u64> = servers
        .filter_map(|server| server["port"]["number"].as_u64())
        .collect();
    let port = |number: &u64| {
        json!({
            "name": format!("port-{number}"), "port": number,
            "targetPort": number, "nodePort": 30_000 + number,
        })
    };
    let ports: Vec<Value> = numbers.iter().map(port).collect();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
        "spec": {
            "type": "NodePort", "clusterIP": "192.0.2.1",
            "selector": {"istio": "ingressgateway"}, "ports": ports,
        },
    })
}

fn answer(desired: &Desired, call: &Value) -> Result<Value> {
    let port = call["Port"].as_u64().context("Port")?;
    let mut listeners = desired.listeners.iter();
    let found = listeners.find(|listener| u64::from(listener.target) == port);
    let Some(listener) = found else {
        return Ok(json!({"Error": "ErrNoListener"}));
    };
    let host = call["HostHeader"].as_str().unwrap_or_default();
    let mut got = match &listener.entrance {
        Entrance::Http(site) => of_site(listener, site, call)?,
        Entrance::Tcp(Some(stream)) => of_bytes(&stream.destinations),
        Entrance::Tcp(None) => json!({"Error": "ErrNoFilterChain"}),
        Entrance::Tls(chains) => {
            let mut names = ByName::default();
            for chain in chains {
                chain
                    .names
                    .iter()
                    .for_each(|name| names.add(name, &chain.inside));
            }
            match names.find(call["Sni"].as_str().unwrap_or(host)) {
                None => json!({"Error": "ErrNoFilterChain"}),
                Some(Inside::Passed(stream)) => of_bytes(&stream.destinations),
                Some(Inside::Http(_, site)) => of_site(listener, site, call)?,
                Some(Inside::Tcp(_, stream)) => {
                    of_bytes(stream.as_ref().map_or(&[], |stream| &stream.destinations))
                }
            }
        }
    };
    got["ListenerMatched"] = json!(format!("0.0.0.0_{port}"));
    // A virtual host stands for no other here.
    got["StrictMatch"] = json!(true);
    Ok(got)
}

fn of_bytes(destinations: &[Destination]) -> Value {
    json!({"ClusterMatched": destinations.first().map(cluster)})
}

fn cluster(found: &Destination) -> String {
    let name = cluster_name(&found.host, found.port, found.subset.as_deref());
    shortened(&name)
}

/// Upstream writes the names of some services in full.
fn shortened(name: &str) -> String {
    match name.strip_suffix(DOMAIN) {
        Some(short) if !name.contains("mysite") => short.to_owned(),
        _ => name.to_owned(),
    }
}

fn of_site(listener: &Listener, site: &Site, call: &Value) -> Result<Value> {
    let mut got = json!({"RouteConfigMatched": site.name});
    if site.hosts.is_empty() {
        got["VirtualHostMatched"] = json!(format!("blackhole:{}", listener.number));
        got["Error"] = json!("ErrNoRoute");
        return Ok(got);
    }
    let authority = call["HostHeader"].as_str().unwrap_or_default();
    let mut hosts = ByName::default();
    site.hosts
        .iter()
        .for_each(|host| hosts.add(&host.host, host));
    let Some(&host) = hosts.find(authority) else {
        got["Error"] = json!("ErrNoVirtualHost");
        return Ok(got);
    };
    got["VirtualHostMatched"] = json!(host.name);
    match routed(host, authority, call)? {
        Ok(cluster) => got["ClusterMatched"] = json!(cluster),
        Err(error) => got["Error"] = json!(error),
    }
    Ok(got)
}

/// The cluster of a request, or what it meets instead.
fn routed(
    host: &VirtualHost,
    authority: &str,
    call: &Value,
) -> Result<Result<String, &'static str>> {
    let rules = requests::Route::new(&host.rules)?;
    let seen = requests::Seen {
        method: &Method::GET,
        path: call["Path"].as_str().unwrap_or("/"),
        query: None,
        scheme: "http",
        authority,
        headers: &HeaderMap::new(),
    };
    let Some(found) = rules.find(&seen) else {
        return Ok(Err("ErrNoRoute"));
    };
    let first = match &found.rule.action {
        requests::Action::Redirect(_) if matches!(found.rule.origin, Rule::Object { .. }) => {
            return Ok(Err("ErrTLSRedirect"));
        }
        requests::Action::Forward(forward) => forward.destinations().first(),
        _ => None,
    };
    let first = first.context("no destination")?;
    Ok(Ok(shortened(&first.cluster)))
}
