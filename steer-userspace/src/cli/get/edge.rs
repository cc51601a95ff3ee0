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
    let taken = rules(seen).filter(|(host, rule)| takes(filter, host, *rule));
    taken.map(|(host, rule)| row(host, rule)).collect()
}

/// The rules of all virtual hosts; a host without any stands by itself.
pub(super) fn rules(seen: &Seen) -> impl Iterator<Item = (&Listed, Option<&Shown>)> {
    seen.edge.iter().flat_map(|host| {
        let none = host.rules.is_empty().then_some((host, None));
        let all = host.rules.iter().map(move |rule| (host, Some(rule)));
        none.into_iter().chain(all)
    })
}

pub(super) fn takes(filter: &Filter<'_>, host: &Listed, rule: Option<&Shown>) -> bool {
    let owner = rule.and_then(|rule| virtual_service(&rule.rule));
    let namespace = owner.as_deref().and_then(|name| name.rsplit('.').next());
    filter.takes_names(namespace.unwrap_or_default(), &host.vhost_name)
}

fn is_http(host: &Listed) -> bool {
    host.protocol.starts_with("HTTP")
}

/// What stands for the match of a host without rules.
pub(super) fn unseen(host: &Listed) -> &'static str {
    if is_http(host) { "/*" } else { "-" }
}

/// What becomes of what comes to it.
pub(super) fn without_rules(host: &Listed) -> Vec<String> {
    let answer = is_http(host).then(|| "answer 404".to_owned());
    answer.into_iter().collect()
}

fn row(host: &Listed, rule: Option<&Shown>) -> Route {
    let leads_to = match rule {
        None => without_rules(host),
        Some(rule) if !host.refused => rule.leads_to.clone(),
        _ => Vec::new(),
    };
    Route {
        name: host.name.clone(),
        vhost_name: host.vhost_name.clone(),
        domains: host.domains.clone(),
        matches: rule.map_or_else(|| unseen(host).to_owned(), |rule| rule.matches.join(" or ")),
        virtual_service: rule.and_then(|rule| virtual_service(&rule.rule)),
        field: rule.and_then(|rule| field(&rule.rule)),
        position: rule.and_then(|rule| position(&rule.rule)),
        address: format!("[::]:{}", host.port),
        transport: Proto::Tcp.name(),
        client: "outside".to_owned(),
        auto: None,
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
