//! Routes of one client: resources are compiled for it, and calls are looked up.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use steer::{
    desired::{
        Desired, Settings, lower,
        model::{Destination, PodRef, Port, Route, Service, View},
    },
    finding::Finding,
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

/// Calls of a client, looked up by address and port: what connect knows.
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
        if let Some(field) = wanted.keys().find(|field| *field != "ClusterMatched") {
            return Ok(Outcome::Unsupported(format!(
                "steer has no {field}: it chooses clusters at connect"
            )));
        }
        let got = answer(&compiled, &call["Call"])?;
        let outcome = Outcome::compare(json!(got), &call["Result"]["ClusterMatched"]);
        if !matches!(outcome, Outcome::Passed) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Passed)
}

fn answer(compiled: &Compiled, call: &Value) -> Result<Option<String>> {
    let address: IpAddr = call["Address"].as_str().context("Address")?.parse()?;
    let number = call["Port"].as_u64().context("Port")?;
    let service = compiled
        .desired
        .services
        .iter()
        .find(|found| found.addresses.contains(&address));
    let port = service.and_then(|service| {
        let mut ports = service.ports.iter();
        ports.find(|port| u64::from(port.number) == number)
    });
    let route = port.and_then(|port| compiled.route(port));
    Ok(route.and_then(|route| route.destinations.first().map(cluster)))
}
