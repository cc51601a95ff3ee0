//! What gateways serve, as rows of `steer get routes`: one for each rule of a virtual host.

use steer_common::{Depth, Proto};

use super::{
    Filter,
    routes::{Route, field, position, virtual_service},
};
use crate::{
    cli::instance::Seen,
    requests::{Listed, Shown},
};

pub(super) fn rows(seen: &Seen, filter: &Filter<'_>) -> Vec<Route> {
    let rules = seen.edge.iter().flat_map(|host| {
        let none = host.rules.is_empty().then_some((host, None));
        let all = host.rules.iter().map(move |rule| (host, Some(rule)));
        none.into_iter().chain(all)
    });
    let taken = rules.filter(|(host, rule)| takes(filter, host, *rule));
    taken.map(|(host, rule)| row(host, rule)).collect()
}

fn takes(filter: &Filter<'_>, host: &Listed, rule: Option<&Shown>) -> bool {
    let owner = rule.and_then(|rule| virtual_service(&rule.rule));
    let namespace = owner.as_deref().and_then(|name| name.rsplit('.').next());
    filter.takes_names(namespace.unwrap_or_default(), &host.vhost_name)
}

fn row(host: &Listed, rule: Option<&Shown>) -> Route {
    let is_http = host.protocol.starts_with("HTTP");
    let unseen = if is_http { "/*" } else { "-" };
    let leads_to = match rule {
        None if is_http => vec!["answer 404".to_owned()],
        Some(rule) if !host.refused => rule.leads_to.clone(),
        _ => Vec::new(),
    };
    Route {
        name: host.name.clone(),
        vhost_name: host.vhost_name.clone(),
        domains: host.domains.clone(),
        matches: rule.map_or_else(|| unseen.to_owned(), |rule| rule.matches.join(" or ")),
        virtual_service: rule.and_then(|rule| virtual_service(&rule.rule)),
        field: rule.and_then(|rule| field(&rule.rule)),
        position: rule.and_then(|rule| position(&rule.rule)),
        address: format!("[::]:{}", host.port),
        transport: Proto::Tcp.name(),
        client: "outside".to_owned(),
        depth: match host.protocol.as_str() {
            "TCP" => Depth::Connect.name(),
            "TLS" => Depth::Hello.name(),
            _ => Depth::Request.name(),
        },
        visible: true,
        destinations: Vec::new(),
        leads_to,
        mirrors: rule.map_or_else(Vec::new, |rule| rule.mirrors.clone()),
        connections: 0,
        split_error: None,
        tickets: 0,
        generation: 0,
        requests: None,
    }
}
