//! `steer get routes --pod` and `--gateway`: what one client sees, as route tables: listener, virtual
//! host, rules in their order. The columns of `istioctl proxy-config route`, with all conditions of a rule.

use std::collections::BTreeMap;

use serde::Serialize;
use steer_common::{
    Proto,
    service::{CLASS_ANYONE, CLASS_OUTSIDE, ROUTE_HIDDEN},
};

use super::{
    Filter, edge,
    routes::{field, leading, matches, position, shares, virtual_service},
};
use crate::{
    cli::{
        explain::Client,
        instance::{InForce, Seen, transport},
        output::Row,
    },
    desired::model::Rule,
    image::ServiceName,
    requests::{Listed, Shown},
};

/// A rule of a virtual host.
#[derive(Serialize)]
pub(super) struct Entry {
    /// The listener.
    name: String,
    vhost_name: String,
    domains: Vec<String>,
    #[serde(rename = "match")]
    matches: String,
    /// `default` without one.
    virtual_service: String,
    /// What made it: the rule's object, or the service.
    made_by: String,
    field: Option<String>,
    position: Option<String>,
    /// Where it leads, with weights as written, or what it answers.
    leads_to: Vec<String>,
    /// How often a request is tried again; none where nobody looks at requests.
    retries: Option<u32>,
}

/// What a pod sees: of each port the routes of its class, or those of everyone.
pub(super) fn of_pod(seen: &Seen, filter: &Filter<'_>, client: &Client) -> Vec<Entry> {
    let routes = seen.routes();
    let listed = routes.iter().filter(|found| filter.takes(found));
    let mut ports: BTreeMap<_, Vec<&InForce<'_>>> = BTreeMap::new();
    for found in listed.filter(|found| found.key.class != CLASS_OUTSIDE) {
        let host = found.service.map(|name| (&name.namespace, &name.host));
        let of = (found.key.port, found.key.proto, host);
        ports.entry(of).or_default().push(found);
    }
    let ports = ports.values();
    ports.flat_map(|all| of_port(seen, all, client)).collect()
}

/// All addresses of a port are one virtual host.
fn of_port(seen: &Seen, all: &[&InForce<'_>], client: &Client) -> Vec<Entry> {
    let of_class = |class| {
        let found = all.iter().copied();
        let found = found.filter(move |found| found.key.class == class);
        found.collect::<Vec<_>>()
    };
    let own = Some(of_class(client.class)).filter(|own| !own.is_empty());
    let own = own.unwrap_or_else(|| of_class(CLASS_ANYONE));
    let visible = own.iter().find(|found| !found.route.has(ROUTE_HIDDEN));
    let Some(&first) = visible else {
        return Vec::new();
    };
    let rules = seen.requests(first.route);
    let host = host(first, &own, client);
    if rules.is_empty() {
        let shares = shares(seen, first.route);
        let rule = seen.names.rules.get(&first.route.rule);
        let leads_to = shares.iter();
        let leads_to = leads_to.map(|share| format!("{} {}", share.cluster, share.weight));
        return vec![Entry {
            matches: matches(first.service).to_owned(),
            leads_to: leads_to.collect(),
            ..host.rule(rule.map_or(&Rule::Service, |rule| rule))
        }];
    }
    rules.iter().map(|rule| host.shown(rule)).collect()
}

/// What gateways serve.
pub(super) fn of_gateways(seen: &Seen, filter: &Filter<'_>) -> Vec<Entry> {
    let rules = edge::rules(seen).filter(|(host, rule)| edge::takes(filter, host, *rule));
    let entry = |(found, rule): (&Listed, Option<&Shown>)| {
        let host = Host {
            name: found.name.clone(),
            vhost_name: found.vhost_name.clone(),
            domains: found.domains.clone(),
            service: None,
        };
        match rule {
            Some(rule) => host.shown(rule),
            None => Entry {
                matches: edge::unseen(found).to_owned(),
                leads_to: edge::without_rules(found),
                virtual_service: String::new(),
                ..host.rule(&Rule::Service)
            },
        }
    };
    rules.map(entry).collect()
}

struct Host {
    name: String,
    vhost_name: String,
    domains: Vec<String>,
    service: Option<String>,
}

fn host(first: &InForce<'_>, all: &[&InForce<'_>], client: &Client) -> Host {
    let port = first.key.port;
    let named = first.service;
    let mut domains = named.map_or_else(Vec::new, |name| domains(name, &client.namespace));
    domains.extend(all.iter().map(|found| found.key.addr.to_string()));
    // TCP goes without saying.
    let name = match transport(first.key) {
        Some(Proto::Udp) => format!("{port}/UDP"),
        Some(Proto::Tcp) | None => port.to_string(),
    };
    Host {
        name,
        vhost_name: format!("{}:{port}", named.map_or("?", |name| &name.host)),
        domains,
        service: named.map(|name| format!("Service {}/{}", name.namespace, name.name)),
    }
}

/// The names by which a client of `namespace` finds a service (as Istio's virtual hosts list them).
fn domains(name: &ServiceName, namespace: &str) -> Vec<String> {
    let ServiceName {
        name,
        namespace: own,
        host,
        ..
    } = name;
    let mut all = vec![host.clone()];
    // Hosts of ServiceEntries have no shorter names.
    if host.starts_with(&format!("{name}.{own}.svc.")) {
        all.extend((own == namespace).then(|| name.clone()));
        all.extend([format!("{name}.{own}"), format!("{name}.{own}.svc")]);
    }
    all
}

impl Host {
    fn rule(&self, rule: &Rule) -> Entry {
        let service = || self.service.clone().unwrap_or_default();
        Entry {
            name: self.name.clone(),
            vhost_name: self.vhost_name.clone(),
            domains: self.domains.clone(),
            matches: String::new(),
            virtual_service: virtual_service(rule).unwrap_or_else(|| "default".to_owned()),
            made_by: match rule {
                Rule::Service => service(),
                Rule::VirtualService { object, .. } | Rule::Object { object, .. } => {
                    object.to_string()
                }
                Rule::Setting { name } => name.clone(),
            },
            field: field(rule),
            position: position(rule),
            leads_to: Vec::new(),
            retries: None,
        }
    }

    fn shown(&self, rule: &Shown) -> Entry {
        let mirrors = rule.mirrors.iter();
        Entry {
            matches: rule.matches.join(" or "),
            leads_to: rule.leads_to.iter().chain(mirrors).cloned().collect(),
            retries: rule.retries,
            ..self.rule(&rule.rule)
        }
    }
}

/// Names that only lengthen another are left out of the table; all of them are in JSON.
fn shortest(domains: &[String]) -> String {
    let lengthens = |name: &&String| {
        let mut others = domains.iter();
        !others.any(|other| {
            name.strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let names: Vec<&str> = domains
        .iter()
        .filter(lengthens)
        .map(String::as_str)
        .collect();
    names.join(", ")
}

impl Row for Entry {
    fn headers(wide: bool) -> Vec<&'static str> {
        let mut headers = vec!["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"];
        if wide {
            headers.extend(["RETRIES", "LEADS TO", "MADE BY", "FIELD", "POSITION"]);
        }
        headers
    }

    fn cells(&self, wide: bool) -> Vec<String> {
        let dash = || "-".to_owned();
        let domains = if wide {
            self.domains.join(", ")
        } else {
            shortest(&self.domains)
        };
        let mut cells = vec![
            self.name.clone(),
            self.vhost_name.clone(),
            domains,
            self.matches.clone(),
            self.virtual_service.clone(),
        ];
        if wide {
            let leads_to: Vec<String> = self.leads_to.iter().map(|to| leading(to)).collect();
            cells.extend([
                self.retries
                    .map_or_else(dash, |retries| retries.to_string()),
                leads_to.join(" "),
                self.made_by.clone(),
                self.field.clone().unwrap_or_else(dash),
                self.position.clone().unwrap_or_else(dash),
            ]);
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_the_clients_namespace() {
        let name = ServiceName {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            host: "catalog.shop.svc.cluster.local".to_owned(),
            port_name: "http".to_owned(),
            protocol: "HTTP".to_owned(),
        };
        let all = [
            "catalog.shop.svc.cluster.local",
            "catalog",
            "catalog.shop",
            "catalog.shop.svc",
        ];
        assert_eq!(domains(&name, "shop"), all);
        assert_eq!(domains(&name, "other"), [all[0], all[2], all[3]]);
        assert_eq!(shortest(&all.map(str::to_owned)), "catalog");
        let entry = ServiceName {
            host: "api.example".to_owned(),
            ..name
        };
        assert_eq!(domains(&entry, "shop"), ["api.example"]);
    }
}
