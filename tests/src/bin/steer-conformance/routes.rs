//! Routes of one client: resources are compiled for it, and calls are looked up.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result};
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use steer::{
    desired::{
        Desired, Settings, lower,
        model::{Destination, PodRef, Port, Route, Rule, Service, View},
    },
    finding::Finding,
    requests,
};
use steer_common::service::CLASS_ANYONE;

use crate::{
    resources::{Read, list},
    table::{Case, Outcome, Table},
};

/// The client.
const CLIENT: &str = "client";

/// What resources mean for one client.
struct Compiled {
    desired: Desired,
    client: PodRef,
}

impl Compiled {
    fn new(resources: &[Value], namespace: &str) -> (Read, Self) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": CLIENT, "namespace": namespace},
            "spec": {}, "status": {"podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}]},
        });
        let read = Read::values(resources.iter().chain([&pod]));
        let client = PodRef {
            namespace: namespace.to_owned(),
            name: CLIENT.to_owned(),
        };
        let local = BTreeSet::from([client.clone()]);
        let desired = lower(&read.snapshot(), &Settings::default(), &local);
        (read, Self { desired, client })
    }

    fn service(&self, host: &str) -> Option<&Service> {
        let mut services = self.desired.services.iter();
        services.find(|found| found.host == host).map(AsRef::as_ref)
    }

    /// What the client sees of a port.
    fn route<'a>(&self, port: &'a Port) -> Option<&'a Route> {
        let class = self.desired.classes.get(&self.client);
        let view = class
            .and_then(|class| port.views.get(class))
            .or_else(|| port.views.get(&CLASS_ANYONE))?;
        match view {
            View::Hidden => None,
            View::Route(route) => Some(route),
        }
    }

    fn finding(&self, is: impl Fn(&Finding) -> bool) -> Option<String> {
        let mut findings = self.desired.findings.iter();
        findings
            .find(|finding| is(finding))
            .map(|finding| format!("{}: {}", finding.code, finding.message))
    }
}

fn cluster(found: &Destination) -> String {
    let subset = found.subset.as_deref().unwrap_or_default();
    format!("outbound|{}|{subset}|{}", found.port, found.host)
}

/// The clusters of hosts on one port.
pub(crate) fn sidecar(table: &Table, case: &Case) -> Result<Outcome> {
    let Some(expected) = case["expectedVirtualService"].as_object() else {
        return Ok(Outcome::Passed);
    };
    let namespace = case["proxyNamespace"].as_str().context("proxyNamespace")?;
    let port: u16 = case["routeName"].as_str().context("routeName")?.parse()?;
    let resources = [list(&table.context["services"]), list(&case["resources"])].concat();
    let (read, compiled) = Compiled::new(&resources, namespace);
    if let Some(what) = read.unread() {
        return Ok(Outcome::Unsupported(what));
    }
    let mut got = Map::new();
    let mut lacking = None;
    for (host, wanted) in expected {
        let found = compiled.service(host);
        let clusters = found.and_then(|service| {
            let port = service.ports.iter().find(|found| found.number == port)?;
            let route = compiled.route(port)?;
            Some(route.destinations.iter().map(cluster).collect::<Vec<_>>())
        });
        if found.is_none() && !wanted.is_null() {
            // A host that is no service has no address that could be steered.
            let unknown = |finding: &Finding| {
                finding.code == "IST0101" && finding.message.contains(host.as_str())
            };
            lacking = lacking.or_else(|| compiled.finding(unknown));
            if lacking.is_some() {
                got.insert(host.clone(), wanted.clone());
                continue;
            }
        }
        got.insert(host.clone(), json!(clusters));
    }
    let outcome = Outcome::compare(got, &case["expectedVirtualService"]);
    // What a Sidecar does not show may be refused, but its rules hold.
    let shown = compiled.finding(|finding| finding.code == "STR0405");
    Ok(match (outcome, lacking, shown) {
        (Outcome::Passed, Some(what), _) | (Outcome::Failed { .. }, _, Some(what)) => {
            Outcome::Unsupported(what)
        }
        (outcome, ..) => outcome,
    })
}

/// Calls of a client: connections are looked up by address and port, as connect does; requests by the
/// rules that look at them.
pub(crate) fn simulation(_: &Table, case: &Case) -> Result<Outcome> {
    let resources = [list(&case["resources"]), list(&case["kubeResources"])].concat();
    let (read, compiled) = Compiled::new(&resources, "default");
    if let Some(what) = read.unread() {
        return Ok(Outcome::Unsupported(what));
    }
    let deeper = ["STR0301", "STR0302", "STR0307"];
    if let Some(what) = compiled.finding(|finding| deeper.contains(&finding.code)) {
        return Ok(Outcome::Unsupported(what));
    }
    for call in list(&case["calls"]) {
        let wanted = call["Result"].as_object().context("Result")?;
        let known = ["ClusterMatched", "RouteMatched"];
        if let Some(field) = wanted.keys().find(|field| !known.contains(&field.as_str())) {
            return Ok(Outcome::Unsupported(format!(
                "steer has no {field}: it chooses clusters"
            )));
        }
        if let Some(what) = other_host(&compiled, &call["Call"])? {
            return Ok(Outcome::Unsupported(what));
        }
        let got = answer(&compiled, &call["Call"])?;
        let got = got.map_or(
            json!({}),
            |(cluster, rule)| json!({"ClusterMatched": cluster, "RouteMatched": rule}),
        );
        let got: Map<String, Value> = wanted
            .keys()
            .map(|field| (field.clone(), got[field].clone()))
            .collect();
        let outcome = Outcome::compare(got, &call["Result"]);
        if !matches!(outcome, Outcome::Passed) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Passed)
}

/// A request that names another service than the one that it is sent to: Istio goes by the name.
fn other_host(compiled: &Compiled, call: &Value) -> Result<Option<String>> {
    let Some(host) = call["HostHeader"].as_str() else {
        return Ok(None);
    };
    let dialled = dialled(compiled, call)?;
    let mut others = compiled.desired.services.iter();
    let other = others.find(|other| other.host == host);
    Ok(other
        .filter(|other| dialled.is_none_or(|(service, _)| service.host != other.host))
        .map(|other| {
            let name = &other.host;
            format!("a request is for the service that was dialled, whatever it names: {name}")
        }))
}

/// The service and port that a call goes to.
fn dialled<'c>(compiled: &'c Compiled, call: &Value) -> Result<Option<(&'c Service, &'c Port)>> {
    let address: IpAddr = call["Address"].as_str().context("Address")?.parse()?;
    let number = call["Port"].as_u64().context("Port")?;
    let mut services = compiled.desired.services.iter();
    let service = services.find(|found| found.addresses.contains(&address));
    Ok(service.and_then(|service| {
        let mut ports = service.ports.iter();
        let port = ports.find(|port| u64::from(port.number) == number)?;
        Some((&**service, port))
    }))
}

/// The cluster, and the name of the rule, that a call gets to.
fn answer(compiled: &Compiled, call: &Value) -> Result<Option<(String, String)>> {
    let port = dialled(compiled, call)?.map(|(_, port)| port);
    let Some(route) = port.and_then(|port| compiled.route(port)) else {
        return Ok(None);
    };
    if !route.requests.is_empty() && call["Protocol"] == "http" {
        return request(route, call);
    }
    let first = route.destinations.first().map(cluster);
    Ok(first.map(|first| (first, name(&route.rule))))
}

/// The same of a request, by the rules that look at it.
fn request(route: &Route, call: &Value) -> Result<Option<(String, String)>> {
    let rules = requests::Route::new(&route.requests)?;
    let headers = HeaderMap::new();
    let target = call["Path"].as_str().unwrap_or("/");
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let seen = requests::Seen {
        method: &Method::GET,
        path,
        query,
        scheme: "http",
        authority: call["HostHeader"].as_str().unwrap_or_default(),
        headers: &headers,
    };
    let Some(found) = rules.find(&seen) else {
        return Ok(None);
    };
    let requests::Action::Forward(forward) = &found.rule.action else {
        return Ok(None);
    };
    let first = forward.destinations().first();
    Ok(first.map(|to| (to.cluster.to_string(), name(&found.rule.origin))))
}

/// As Envoy's routes are named.
fn name(rule: &Rule) -> String {
    match rule {
        Rule::VirtualService {
            name: Some(name), ..
        } => name.clone(),
        _ => "default".to_owned(),
    }
}
