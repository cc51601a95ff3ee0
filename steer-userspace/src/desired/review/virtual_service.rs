//! VirtualServices: what connect cannot decide, and what refers to nothing.

use std::collections::BTreeMap;

use steer_common::weights::{WeightError, scale};

use super::About;
use crate::{
    desired::{
        client::Client,
        codes, host,
        registry::{Host, Speaks},
        route::{World, takes_every_request},
        virtual_services::is_on_mesh,
    },
    finding::{Finding, Severity},
    source::{
        Object,
        istio::{Destination, HttpMatch, HttpRoute, VirtualService},
    },
};

type AboutVs<'a> = About<'a, VirtualService>;

pub(super) fn review(world: World<'_>, object: &Object<VirtualService>) -> Vec<Finding> {
    let mut about = About::new(object);
    let spec = &object.spec;
    if !is_on_mesh(&spec.gateways) {
        about.warn(codes::GATEWAY_ONLY, "spec.gateways", "it is bound to gateways only, which are not enforced yet: no client of the mesh is concerned", "add mesh to its gateways, or leave them out, to steer clients of the mesh");
        return about.found;
    }
    for (index, name) in spec
        .gateways
        .iter()
        .enumerate()
        .filter(|(_, name)| *name != "mesh")
    {
        let message =
            format!("the gateway {name} is not enforced yet; clients of the mesh are steered");
        about.say(
            Severity::Info,
            codes::GATEWAY_ONLY,
            &format!("spec.gateways[{index}]"),
            message,
            "",
        );
    }
    hosts(&mut about, world);
    http(&mut about, world);
    for (index, rule) in spec.tls.iter().enumerate() {
        let field = format!("spec.tls[{index}]");
        about.warn(codes::NEEDS_HELLO, &field, "a tls rule looks at the name in the ClientHello, which is not enforced yet: the service's own endpoints are used", "leave it out, or know that it has no effect here");
        for (index, to) in rule.route.iter().enumerate() {
            destination(
                &mut about,
                world,
                &format!("{field}.route[{index}]"),
                &to.destination,
            );
        }
    }
    for (index, rule) in spec.tcp.iter().enumerate() {
        let field = format!("spec.tcp[{index}]");
        weights(&mut about, &field, rule.route.iter().map(|to| to.weight));
        for (index, to) in rule.route.iter().enumerate() {
            destination(
                &mut about,
                world,
                &format!("{field}.route[{index}]"),
                &to.destination,
            );
        }
    }
    about.found
}

fn hosts(about: &mut AboutVs<'_>, world: World<'_>) {
    let object = about.object;
    for (index, name) in object.spec.hosts.iter().enumerate() {
        let field = format!("spec.hosts[{index}]");
        let name = host::qualify(name, &object.meta.namespace, &world.settings.domain)
            .to_ascii_lowercase();
        let covered: Vec<&Host> = if name.starts_with('*') {
            let hosts = world.registry.hosts.iter();
            hosts
                .filter(|(known, _)| host::covers(&name, known))
                .map(|(_, found)| &**found)
                .collect()
        } else {
            world
                .registry
                .hosts
                .get(&name)
                .map(|found| &**found)
                .into_iter()
                .collect()
        };
        if covered.is_empty() {
            let message =
                format!("the host {name} is not in the registry: nobody is steered by it");
            about.warn(
                codes::REFERENCED_NOT_FOUND,
                &field,
                message,
                "name a service of this namespace, or a fully qualified one",
            );
        }
        for found in covered.iter().filter(|found| found.addresses.is_empty()) {
            let message = format!(
                "{} is headless: its clients dial pods, which are left as dialled",
                found.name
            );
            about.warn(
                codes::HEADLESS,
                &field,
                message,
                "give the service a cluster address to steer its clients",
            );
        }
        if !covered.is_empty() {
            idle(about, &name, &covered);
        }
    }
}

/// Lists of rules that are for ports that no covered service has.
fn idle(about: &mut AboutVs<'_>, host: &str, covered: &[&Host]) {
    let spec = &about.object.spec;
    let speaks = |wanted: Speaks| {
        let mut ports = covered.iter().flat_map(|found| &found.ports);
        ports.any(|port| port.speaks == wanted)
    };
    let sniffed = speaks(Speaks::Unknown);
    let takes_http = speaks(Speaks::Http) || sniffed;
    let takes_tcp = speaks(Speaks::Tcp) || (sniffed && spec.http.is_empty());
    let other = "TCP that is neither HTTP nor TLS";
    let lists = [
        ("http", !spec.http.is_empty() && !takes_http, "HTTP"),
        ("tls", !spec.tls.is_empty() && !speaks(Speaks::Tls), "TLS"),
        ("tcp", !spec.tcp.is_empty() && !takes_tcp, other),
    ];
    for (list, is_idle, protocol) in lists {
        if is_idle {
            about.warn(
                codes::FIELD_NOT_ENFORCED,
                &format!("spec.{list}"),
                format!(
                    "{host} has no port that speaks {protocol}: the {list} rules have no effect"
                ),
                "the port's appProtocol or the first part of its name says what it speaks",
            );
        }
    }
}

fn http(about: &mut AboutVs<'_>, world: World<'_>) {
    let object = about.object;
    let namespace = object.meta.namespace.as_str();
    let rules = &object.spec.http;
    let catch_all = rules
        .iter()
        .position(|rule| takes_everything(world, namespace, rule));
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("spec.http[{index}]");
        if catch_all.is_some_and(|first| index > first) {
            about.warn(
                codes::RULE_UNREACHABLE,
                &field,
                "a rule before it takes every request: nothing reaches it",
                "move it up, or remove it",
            );
        }
        http_rule(about, &field, rule);
        weights(about, &field, rule.route.iter().map(|to| to.weight));
        for (index, to) in rule.route.iter().enumerate() {
            destination(
                about,
                world,
                &format!("{field}.route[{index}]"),
                &to.destination,
            );
        }
        if let Some(delegate) = &rule.delegate {
            let namespace = delegate
                .namespace
                .clone()
                .unwrap_or_else(|| about.object.meta.namespace.clone());
            if world
                .virtual_services
                .delegate(&namespace, &delegate.name)
                .is_none()
            {
                let message = format!("the delegate {namespace}/{} does not exist", delegate.name);
                about.warn(
                    codes::REFERENCED_NOT_FOUND,
                    &format!("{field}.delegate"),
                    message,
                    "a delegate is a VirtualService without hosts",
                );
            }
        }
    }
    let looks = rules
        .iter()
        .any(|rule| rule.matches.iter().any(|found| !takes_every_request(found)));
    if looks && catch_all.is_none() {
        about.warn(codes::NEEDS_REQUESTS, "spec.http", "no rule takes every request: Istio would answer 404 where none fits; here the service's own endpoints are used", "add a last rule without match");
    }
}

/// Whether a rule takes every request of every client.
fn takes_everything(world: World<'_>, namespace: &str, rule: &HttpRoute) -> bool {
    if let Some(delegate) = &rule.delegate {
        // Where no rule of the delegate fits, the next one is asked.
        let namespace = delegate.namespace.as_deref().unwrap_or(namespace);
        let found = world.virtual_services.delegate(namespace, &delegate.name);
        let is_whole = found.is_some_and(|found| {
            let mut rules = found.spec.http.iter();
            rules.any(|rule| takes_everything(world, namespace, rule))
        });
        if !is_whole {
            return false;
        }
    }
    let of_anyone = |found: &HttpMatch| {
        takes_every_request(found)
            && found.port.is_none()
            && found.source_labels.is_empty()
            && found.source_namespace.is_none()
            && found.gateways.is_empty()
    };
    rule.matches.is_empty() || rule.matches.iter().any(of_anyone)
}

fn http_rule(about: &mut AboutVs<'_>, field: &str, rule: &HttpRoute) {
    for (index, found) in rule.matches.iter().enumerate() {
        let conditions = [
            ("uri", found.uri.is_some()),
            ("scheme", found.scheme.is_some()),
            ("method", found.method.is_some()),
            ("authority", found.authority.is_some()),
            ("headers", !found.headers.is_empty()),
            ("withoutHeaders", !found.without_headers.is_empty()),
            ("queryParams", !found.query_params.is_empty()),
        ];
        let names: Vec<&str> = conditions
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
        if !takes_every_request(found) {
            let message = format!(
                "a condition on {} needs each request to be looked at, which is not built yet: connections take the first rule without such a condition",
                names.join(", ")
            );
            about.warn(
                codes::NEEDS_REQUESTS,
                &format!("{field}.match[{index}]"),
                message,
                "know that this rule has no effect here",
            );
        }
    }
    let fields = [
        (
            "redirect",
            rule.redirect.is_some(),
            "the service's own endpoints are used",
        ),
        (
            "directResponse",
            rule.direct_response.is_some(),
            "the service's own endpoints are used",
        ),
        (
            "rewrite",
            rule.rewrite.is_some(),
            "requests are left as sent",
        ),
        (
            "timeout",
            rule.timeout.is_some(),
            "requests take as long as they take",
        ),
        ("retries", rule.retries.is_some(), "nothing is retried"),
        (
            "fault",
            rule.fault.is_some(),
            "nothing is delayed or aborted",
        ),
        ("mirror", rule.mirror.is_some(), "nothing is mirrored"),
        ("mirrors", rule.mirrors.is_some(), "nothing is mirrored"),
        (
            "mirrorPercent",
            rule.mirror_percent.is_some(),
            "nothing is mirrored",
        ),
        (
            "mirrorPercentage",
            rule.mirror_percentage.is_some(),
            "nothing is mirrored",
        ),
        (
            "corsPolicy",
            rule.cors_policy.is_some(),
            "the application answers for itself",
        ),
        (
            "headers",
            rule.headers.is_some(),
            "headers are left as sent",
        ),
    ];
    for (name, is_given, what) in fields {
        if is_given {
            about.not_enforced(&format!("{field}.{name}"), what);
        }
    }
    for (index, to) in rule.route.iter().enumerate() {
        if to.headers.is_some() {
            about.not_enforced(
                &format!("{field}.route[{index}].headers"),
                "headers are left as sent",
            );
        }
    }
}

/// Weights whose sum does not fit, after division by their greatest common divisor.
fn weights(about: &mut AboutVs<'_>, field: &str, weights: impl Iterator<Item = i64>) {
    let weights: Vec<u32> = weights
        .map(|weight| u32::try_from(weight).unwrap_or_default())
        .collect();
    if weights.len() > 1
        && let Err(WeightError::SumTooLarge { sum }) = scale(&weights)
    {
        let message = format!(
            "the weights sum to {sum} after division by their greatest common divisor, which does not fit 32 bits"
        );
        about.say(
            Severity::Error,
            codes::WEIGHTS_TOO_LARGE,
            &format!("{field}.route"),
            message,
            "weights are relative: use smaller numbers",
        );
    }
}

/// A destination that does not exist, or whose port is not clear.
fn destination(about: &mut AboutVs<'_>, world: World<'_>, field: &str, found: &Destination) {
    let namespace = about.object.meta.namespace.clone();
    let name = host::qualify(&found.host, &namespace, &world.settings.domain).to_ascii_lowercase();
    let Some(target) = world.registry.hosts.get(&name) else {
        let message =
            format!("the host {name} is not in the registry: connections to it are refused");
        return about.warn(
            codes::REFERENCED_NOT_FOUND,
            &format!("{field}.destination.host"),
            message,
            "name a service of this namespace, or a fully qualified one",
        );
    };
    if target.object.spec.kind.as_deref() == Some("ExternalName") {
        about.warn(
            codes::NOT_STEERED,
            &format!("{field}.destination.host"),
            format!("{name} is an ExternalName service: connections to it are refused"),
            "name a service that has endpoints",
        );
    }
    let labels = BTreeMap::new();
    let client = Client {
        namespace: Some(&namespace),
        labels: &labels,
    };
    let service = &target.object.meta.namespace;
    if let Some(subset) = found.subset.as_ref().filter(|subset| !subset.is_empty()) {
        let rule = world.destination_rules.find(&name, service, &client);
        if rule.and_then(|rule| rule.subset(subset)).is_none() {
            let message = format!(
                "no DestinationRule defines the subset {subset} of {name}: connections to it are refused"
            );
            about.warn(
                codes::REFERENCED_NOT_FOUND,
                &format!("{field}.destination.subset"),
                message,
                "add it to the DestinationRule of the host",
            );
        }
    }
    match found.port {
        Some(port)
            if !target
                .ports
                .iter()
                .any(|known| u32::from(known.port.port) == port.number) =>
        {
            let message = format!(
                "{name} has no port {}: connections to it are refused",
                port.number
            );
            about.warn(
                codes::REFERENCED_NOT_FOUND,
                &format!("{field}.destination.port"),
                message,
                "name a port of the service",
            );
        }
        None if target.ports.len() > 1 => {
            let message =
                format!("{name} has several ports: the one that was dialled is used, if it has it");
            about.say(
                Severity::Info,
                codes::DESTINATION_NEEDS_PORT,
                &format!("{field}.destination"),
                message,
                "name the port",
            );
        }
        _ => {}
    }
}
