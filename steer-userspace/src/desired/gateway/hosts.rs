//! Virtual hosts: the rules of every VirtualService that is bound, the oldest first; of these, those
//! that take everything come last.

use std::{collections::BTreeMap, sync::Arc};

use super::{model::VirtualHost, names, servers::Placed};
use crate::{
    desired::{
        client::Client,
        destinations::Destinations,
        matching::needs_requests,
        model::{RequestRule, Rule},
        report::Report,
        route::World,
        select::taking,
        virtual_services::Prepared,
    },
    source::istio::{HttpRoute, Redirect},
};

pub(super) struct Hosts<'w> {
    world: World<'w>,
    made: BTreeMap<String, Made>,
}

struct Made {
    port: u16,
    rules: Vec<RequestRule>,
    /// To HTTPS, if a server says so.
    redirect: Option<RequestRule>,
}

impl<'w> Hosts<'w> {
    pub(super) fn new(world: World<'w>) -> Self {
        Self {
            world,
            made: BTreeMap::new(),
        }
    }

    /// Adds what a server has.
    pub(super) fn add(&mut self, placed: Placed<'w>, report: &mut Report) {
        let redirect = redirect(placed);
        let gateway = names::of(placed.gateway);
        let service = &placed.door.service;
        let namespace = service.meta.namespace.as_str();
        let all = self.world.virtual_services;
        for prepared in all.bound(namespace, &gateway) {
            let object = &prepared.object;
            let owner = &object.meta.namespace;
            let common =
                names::common_hosts(placed.gateway, placed.server(), owner, &prepared.hosts);
            if common.is_empty() {
                continue;
            }
            let client = Client::at_gateway(namespace, &service.spec.selector, &gateway);
            let rules = self.rules(prepared, &client, placed.door.number, report);
            if rules.is_empty() {
                continue;
            }
            for host in common {
                let made = self.host(host, placed);
                made.rules.extend(rules.iter().cloned());
                made.redirect = made.redirect.take().or_else(|| redirect.clone());
            }
        }
        if redirect.is_some() {
            for host in names::all_hosts(placed.server()) {
                let made = self.host(host, placed);
                made.redirect = made.redirect.take().or_else(|| redirect.clone());
            }
        }
    }

    fn host(&mut self, host: String, placed: Placed<'_>) -> &mut Made {
        self.made.entry(host).or_insert_with(|| Made {
            port: placed.door.number,
            rules: Vec::new(),
            redirect: None,
        })
    }

    fn rules(
        &self,
        prepared: &Prepared,
        client: &Client<'_>,
        port: u16,
        report: &mut Report,
    ) -> Vec<RequestRule> {
        let (taking, _) = taking(prepared, client, port);
        let mut destinations = Destinations::new(self.world, client, port);
        let rules = taking
            .into_iter()
            .map(|rule| destinations.of_requests(rule, Vec::new))
            .collect();
        report.found.append(&mut destinations.report.found);
        rules
    }

    /// All of them, by pattern.
    pub(super) fn finish(self) -> Vec<VirtualHost> {
        let host = |(host, made): (String, Made)| VirtualHost {
            name: format!("{host}:{}", made.port),
            rules: match made.redirect {
                Some(redirect) => vec![redirect],
                None => catch_alls_last(made.rules),
            },
            host,
        };
        self.made.into_iter().map(host).collect()
    }
}

/// A rule of which some matches take everything and others do not is taken apart.
fn catch_alls_last(rules: Vec<RequestRule>) -> Vec<RequestRule> {
    let (mut first, mut last) = (Vec::with_capacity(rules.len()), Vec::new());
    for rule in rules {
        let (looking, all): (Vec<_>, Vec<_>) = rule
            .written
            .matches
            .iter()
            .cloned()
            .partition(needs_requests);
        if looking.is_empty() {
            last.push(rule);
        } else if all.is_empty() {
            first.push(rule);
        } else {
            first.push(with_matches(&rule, looking));
            last.push(with_matches(&rule, all));
        }
    }
    first.append(&mut last);
    first
}

fn with_matches(rule: &RequestRule, matches: Vec<crate::source::istio::HttpMatch>) -> RequestRule {
    RequestRule {
        written: Arc::new(HttpRoute {
            matches,
            ..(*rule.written).clone()
        }),
        ..rule.clone()
    }
}

fn redirect(placed: Placed<'_>) -> Option<RequestRule> {
    let tls = placed.server().tls.as_ref();
    tls.filter(|tls| tls.https_redirect)?;
    let field = placed.field("tls.httpsRedirect");
    Some(RequestRule {
        rule: Rule::Object {
            object: placed.gateway.reference(),
            position: Some(placed.gateway.place.position(&field)),
            field,
        },
        written: Arc::new(HttpRoute {
            redirect: Some(Redirect {
                scheme: Some("https".to_owned()),
                redirect_code: Some(301),
                ..Redirect::default()
            }),
            ..HttpRoute::default()
        }),
        destinations: Vec::new(),
        mirrors: Vec::new(),
    })
}
