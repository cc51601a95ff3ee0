//! Which rules a client uses: what a match says of the client, look-up and merge of
//! DestinationRules, visibility of VirtualServices.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::json;
use steer::{
    desired::{
        Settings,
        client::Client,
        destination_rules::{DestinationRules, Merged},
        route,
        virtual_services::{self, MESH},
    },
    source::istio::{L4Match, TlsMatch, VirtualService},
};

use crate::{
    resources::{list, unchecked},
    table::{Case, Outcome, Table},
};

pub(crate) fn l4_match(_: &Table, case: &Case) -> Result<Outcome> {
    let namespace = case["namespace"].as_str().context("namespace")?;
    let client = client(namespace);
    let got = match case["op"].as_str() {
        Some("tcp") => route::l4_static(&L4Match::deserialize(&case["match"])?, &client),
        Some("tls") => {
            let found = TlsMatch::deserialize(&case["match"])?;
            route::l4_static(&found.l4(), &client)
        }
        op => bail!("unknown op {op:?}"),
    };
    Ok(Outcome::compare(got, &case["expect"]))
}

pub(crate) fn lookup(table: &Table, case: &Case) -> Result<Outcome> {
    let rules = destination_rules(table)?;
    let text = |field: &str| case[field].as_str().with_context(|| field.to_owned());
    let found = rules.find(text("host")?, text("serviceNs")?, &client(text("proxyNs")?));
    Ok(Outcome::compare(
        json!(found.map(subsets)),
        &case["expectSubsets"],
    ))
}

pub(crate) fn merge(table: &Table, case: &Case) -> Result<Outcome> {
    let rules = destination_rules(table)?;
    let merged: Vec<_> = rules
        .merged()
        .map(|rule| {
            let from: Vec<_> = rule.from.iter().map(|object| &object.name).collect();
            json!({"from": from, "subsets": subsets(rule)})
        })
        .collect();
    if merged.contains(&case["expect"]) {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed {
        got: json!(merged),
        want: case["expect"].clone(),
    })
}

pub(crate) fn export_to(table: &Table, case: &Case) -> Result<Outcome> {
    let gateway = case["gateway"].as_str().context("gateway")?;
    if gateway != MESH {
        return Ok(Outcome::Unsupported(
            "gateways are not enforced yet (STR0307)".to_owned(),
        ));
    }
    let namespace = case["proxyNs"].as_str().context("proxyNs")?;
    let objects: Vec<_> = list(&table.context["resources"])
        .iter()
        .map(unchecked::<VirtualService>)
        .collect::<Result<_>>()?;
    let mut visible: Vec<_> = objects
        .iter()
        .filter(|found| virtual_services::is_on_mesh(&found.spec.gateways))
        .filter(|found| virtual_services::is_visible(found, &client(namespace)))
        .collect();
    visible.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
    let hosts: Vec<_> = visible.iter().flat_map(|found| &found.spec.hosts).collect();
    Ok(Outcome::compare(json!(hosts), &case["expectHosts"]))
}

fn client(namespace: &str) -> Client<'_> {
    Client {
        namespace: Some(namespace),
        ..Client::ANYONE
    }
}

fn destination_rules(table: &Table) -> Result<DestinationRules> {
    let mut objects: Vec<_> = list(&table.context["resources"])
        .iter()
        .map(unchecked)
        .collect::<Result<_>>()?;
    objects.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
    let settings = Settings::default();
    let root = table.context["rootNamespace"].as_str();
    let root = root.unwrap_or(&settings.root_namespace);
    Ok(DestinationRules::new(&objects, &settings.domain, root))
}

fn subsets(rule: &Merged) -> Vec<&str> {
    let subsets = rule.subsets.iter();
    subsets.map(|subset| subset.name.as_str()).collect()
}
