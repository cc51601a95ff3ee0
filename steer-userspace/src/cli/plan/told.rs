//! What `steer plan` tells: maps, changes, writes, findings.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use steer_common::{Proto, ServiceKey, addr::Peer};

use crate::{
    cli::{
        check,
        get::{field, leading, virtual_service},
        instance::transport,
        text::Text,
    },
    image::{self, Image},
    plan::Placed,
    requests::Listed,
};

/// The answer.
#[derive(Serialize)]
pub(in crate::cli) struct Planned {
    /// What has to be taken together with the rest.
    pub(super) findings: Vec<Value>,
    /// Nothing else is there if the configuration is refused.
    #[serde(flatten)]
    pub(super) content: Option<Content>,
}

#[derive(Serialize)]
pub(super) struct Content {
    /// Map -> rows in use.
    pub(super) maps: BTreeMap<&'static str, usize>,
    /// Which routes change, against the live node or against empty maps.
    pub(super) changes: Vec<Change>,
    /// Map -> rows that are written.
    pub(super) writes: BTreeMap<&'static str, usize>,
    pub(super) routes: Vec<Route>,
    /// What stands at ports of nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gateways: Vec<Listed>,
    #[serde(skip)]
    pub(super) live: bool,
}

/// A route as the image has it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Route {
    service: String,
    address: String,
    transport: &'static str,
    client: String,
    virtual_service: Option<String>,
    field: Option<String>,
    depth: &'static str,
    visible: bool,
    destinations: Vec<Destination>,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Destination {
    cluster: String,
    weight: u32,
    endpoints: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Change {
    what: &'static str,
    service: String,
    address: String,
    transport: &'static str,
    client: String,
    /// Where connections go now.
    from: Option<String>,
    /// Where they would go.
    to: Option<String>,
}

/// Which routes appear, change and go.
pub(super) fn changes(
    before: &BTreeMap<ServiceKey, Placed>,
    image: &Image,
    known: impl Fn(&ServiceKey) -> String,
    wanted: impl Fn(&ServiceKey) -> String,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, found) in &image.routes {
        let old = before.get(key).map(|placed| &placed.route);
        if old.is_some_and(|old| old == found) {
            continue;
        }
        let new = route(key, found, wanted(key));
        let from = old.map(|old| route(key, old, known(key)).leads_to());
        changes.push(Change {
            what: if from.is_some() { "change" } else { "add" },
            to: Some(new.leads_to()),
            from,
            service: new.service,
            address: new.address,
            transport: new.transport,
            client: new.client,
        });
    }
    for (key, placed) in before {
        if !image.routes.contains_key(key) {
            let old = route(key, &placed.route, known(key));
            changes.push(Change {
                what: "remove",
                from: Some(old.leads_to()),
                to: None,
                service: old.service,
                address: old.address,
                transport: old.transport,
                client: old.client,
            });
        }
    }
    changes
}

pub(super) fn route(key: &ServiceKey, found: &image::Route, client: String) -> Route {
    let destination = |found: &image::Destination| Destination {
        cluster: found.name.cluster(),
        weight: found.name.weight,
        endpoints: found
            .endpoints
            .iter()
            .map(|one| std::net::SocketAddr::new(one.ip, one.port).to_string())
            .collect(),
    };
    Route {
        service: found.service.host.clone(),
        address: Peer::new(key.addr, key.port).to_string(),
        transport: transport(key).map_or("?", Proto::name),
        client,
        virtual_service: virtual_service(&found.rule),
        field: field(&found.rule),
        depth: found.depth.name(),
        visible: !found.hidden,
        destinations: found.destinations.iter().map(destination).collect(),
    }
}

impl Route {
    /// `catalog.shop spec.http[0]: version-v1 90 [10.0.0.1:80], version-v2 10 [10.0.0.2:80]`.
    fn leads_to(&self) -> String {
        if !self.visible {
            return "not visible".to_owned();
        }
        let rule = match (&self.virtual_service, &self.field) {
            (Some(name), Some(field)) => format!("{name} {field}: "),
            _ => String::new(),
        };
        let destinations: Vec<String> = self.destinations.iter().map(Destination::text).collect();
        if destinations.is_empty() {
            return format!("{rule}refused");
        }
        rule + &destinations.join(", ")
    }
}

impl Destination {
    fn text(&self) -> String {
        /// So many are shown one by one.
        const SHOWN: usize = 4;
        let parts: Vec<&str> = self.cluster.split('|').collect();
        let name = match parts.as_slice() {
            [_, _, "", host] => host,
            [_, _, subset, _] => subset,
            _ => self.cluster.as_str(),
        };
        let mut endpoints = self.endpoints.clone();
        if endpoints.len() > SHOWN {
            let more = endpoints.len() - SHOWN;
            endpoints.truncate(SHOWN);
            endpoints.push(format!("+ {more} more"));
        }
        format!("{name} {} [{}]", self.weight, endpoints.join(" "))
    }
}

pub(in crate::cli) fn text(planned: &Planned) -> String {
    let mut text = Text::default();
    if let Some(content) = &planned.content {
        content.text(&mut text);
        text.gap();
    }
    text.heading("FINDINGS");
    if planned.findings.is_empty() {
        text.line(format_args!("  none"));
    }
    for finding in &planned.findings {
        text.lines(&format!("  {}", check::line(finding, false)));
    }
    text.finish()
}

impl Content {
    fn text(&self, text: &mut Text) {
        text.heading("MAPS (rows in use)");
        for (name, rows) in &self.maps {
            text.line(format_args!("  {name:<10} {rows:>8}"));
        }
        text.gap();
        text.heading(if self.live {
            "CHANGES to the live node"
        } else {
            "ROUTES"
        });
        if self.changes.is_empty() {
            text.line(format_args!("  none"));
        }
        for change in &self.changes {
            change.text(text, self.live);
        }
        text.gap();
        self.gateways(text);
        text.heading("WRITES (rows)");
        if self.writes.is_empty() {
            text.line(format_args!("  none"));
        }
        for (name, count) in &self.writes {
            text.line(format_args!("  {name:<10} {count:>8}"));
        }
    }
}

impl Content {
    fn gateways(&self, text: &mut Text) {
        if self.gateways.is_empty() {
            return;
        }
        text.heading("GATEWAYS (ports of each node)");
        for host in &self.gateways {
            let (port, name, vhost) = (host.port, &host.name, &host.vhost_name);
            let domains = host.domains.join(", ");
            text.line(format_args!("  {port} {name} {vhost} {domains}"));
            for rule in &host.rules {
                let matches = rule.matches.join(" or ");
                let made_by = virtual_service(&rule.rule).unwrap_or_default();
                let field = field(&rule.rule).unwrap_or_default();
                let to: Vec<String> = rule.leads_to.iter().map(|to| leading(to)).collect();
                let to = to.join(" ");
                text.line(format_args!("    {matches}: {made_by} {field}: {to}"));
            }
        }
        text.gap();
    }
}

impl Change {
    fn text(&self, text: &mut Text, live: bool) {
        let what = if live {
            format!("{} ", self.what)
        } else {
            String::new()
        };
        let client = if self.client == "*" {
            String::new()
        } else {
            format!(" for {}", self.client)
        };
        let (service, address, transport) = (&self.service, &self.address, self.transport);
        text.line(format_args!(
            "  {what}{service} {address}/{transport}{client}"
        ));
        if let Some(from) = &self.from {
            text.line(format_args!("    - {from}"));
        }
        if let Some(to) = &self.to {
            let sign = if live { "+ " } else { "" };
            text.line(format_args!("    {sign}{to}"));
        }
    }
}
