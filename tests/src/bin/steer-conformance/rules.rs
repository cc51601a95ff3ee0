//! Which rules a client uses: what a match says of the client, look-up and merge of
//! DestinationRules, visibility of VirtualServices.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::{Value, json};
use steer::{
    desired::{
        Settings,
        client::{Client, Labels},
        delegate,
        destination_rules::{DestinationRules, Merged},
        matching,
        virtual_services::VirtualServices,
    },
    source::istio::{HttpMatch, HttpRoute, L4Match, TlsMatch, VirtualService},
};

use crate::{
    resources::{list, unchecked},
    table::{Case, Outcome, Table},
};

/// A port that no case names.
const PORT: u16 = 80;

pub(crate) fn l4_match(_: &Table, case: &Case) -> Result<Outcome> {
    let namespace = case["namespace"].as_str().context("namespace")?;
    let client = client(namespace);
    let got = match case["op"].as_str() {
        Some("tcp") => {
            matching::tcp_holds(&L4Match::deserialize(&case["match"])?, &client, PORT, "")
        }
        Some("tls") => {
            matching::tls_holds(&TlsMatch::deserialize(&case["match"])?, &client, PORT, "")
        }
        op => bail!("unknown op {op:?}"),
    };
    Ok(Outcome::compare(got, &case["expect"]))
}

pub(crate) fn lookup(table: &Table, case: &Case) -> Result<Outcome> {
    let rules = destination_rules(table)?;
    let text = |field: &str| case[field].as_str().with_context(|| field.to_owned());
    let client = client(text("proxyNs")?);
    let found = rules.lookup(&client, text("host")?, Some(text("serviceNs")?));
    Ok(Outcome::compare(
        json!(found.map(subsets)),
        &case["expectSubsets"],
    ))
}

pub(crate) fn merge(table: &Table, case: &Case) -> Result<Outcome> {
    let rules = destination_rules(table)?;
    let merged: Vec<_> = rules
        .all()
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
    let namespace = case["proxyNs"].as_str().context("proxyNs")?;
    let mut objects: Vec<_> = list(&table.context["resources"])
        .iter()
        .map(unchecked::<VirtualService>)
        .collect::<Result<_>>()?;
    objects.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
    let all = VirtualServices::new(&objects, &Settings::default().domain);
    let visible = all.visible(namespace, gateway);
    let hosts: Vec<_> = visible.flat_map(|found| &found.object.spec.hosts).collect();
    Ok(Outcome::compare(json!(hosts), &case["expectHosts"]))
}

/// Rules of delegates merged into the rules that name them. Answers are read before they are
/// compared: an absent field is an empty one.
pub(crate) fn delegates(_: &Table, case: &Case) -> Result<Outcome> {
    let root = &case["root"];
    let matches = |value: &Value| -> Result<Vec<HttpMatch>> { Ok(Vec::deserialize(value)?) };
    let (passed, got) = match case["op"].as_str() {
        Some("merge-routes") => {
            let routes = |value: &Value| -> Result<Vec<HttpRoute>> { Ok(Vec::deserialize(value)?) };
            let merged =
                delegate::merge_routes(&HttpRoute::deserialize(root)?, &routes(&case["delegate"])?);
            (merged == routes(&case["expect"])?, format!("{merged:?}"))
        }
        Some("merge-matches") => {
            let merged = delegate::merge_matches(&matches(root)?, &matches(&case["delegate"])?);
            let wanted = Some(&case["expect"]).filter(|wanted| !wanted.is_null());
            (
                merged == wanted.map(matches).transpose()?,
                format!("{merged:?}"),
            )
        }
        Some("conflict") => {
            let leaf = HttpMatch::deserialize(&case["leaf"])?;
            let got = delegate::conflict(&HttpMatch::deserialize(root)?, &leaf);
            return Ok(Outcome::compare(got, &case["expect"]));
        }
        op => bail!("unknown op {op:?}"),
    };
    if passed {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed {
        got: json!(got),
        want: case["expect"].clone(),
    })
}

fn client(namespace: &str) -> Client<'_> {
    static NO_LABELS: Labels = Labels::new();
    Client::new(Some(namespace), &NO_LABELS)
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
