//! VirtualService, as Istio's webhook sees it.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use steer_common::limits::DESTINATIONS_MAX;

use super::checks::Checks;
use crate::{
    finding::Finding,
    source::{
        istio::{
            Destination, HttpMatch, HttpRoute, L4Match, RouteDestination, StringMatch, TcpRoute,
            TlsRoute, VirtualService, WeightedDestination,
        },
        object::Object,
    },
};

type VsChecks<'a> = Checks<'a, VirtualService>;

/// What is wrong with a VirtualService.
pub fn virtual_service(object: &Object<VirtualService>) -> Vec<Finding> {
    let mut checks = Checks::new(object);
    let spec = &object.spec;
    let is_delegate = spec.hosts.is_empty();
    if is_delegate {
        delegate(&mut checks, spec);
    } else {
        hosts(&mut checks, spec);
    }
    if spec.http.is_empty() && spec.tcp.is_empty() && spec.tls.is_empty() {
        checks.error("spec", "it has no rule", "give it http, tls or tcp rules");
    }
    for (index, rule) in spec.http.iter().enumerate() {
        http_rule(
            &mut checks,
            &format!("spec.http[{index}]"),
            rule,
            is_delegate,
        );
    }
    for (index, rule) in spec.tls.iter().enumerate() {
        tls_rule(
            &mut checks,
            &format!("spec.tls[{index}]"),
            rule,
            &spec.hosts,
        );
    }
    for (index, rule) in spec.tcp.iter().enumerate() {
        tcp_rule(&mut checks, &format!("spec.tcp[{index}]"), rule);
    }
    checks.export_to(&spec.export_to, &object.meta.namespace);
    checks.finish()
}

fn delegate(checks: &mut VsChecks<'_>, spec: &VirtualService) {
    if !spec.gateways.is_empty() {
        checks.error(
            "spec.gateways",
            "a VirtualService without hosts is a delegate and has no gateways",
            "name its hosts, or remove gateways",
        );
    }
    if !spec.tls.is_empty() || !spec.tcp.is_empty() {
        checks.error(
            "spec",
            "a VirtualService without hosts is a delegate and has http rules only",
            "name its hosts",
        );
    }
}

fn hosts(checks: &mut VsChecks<'_>, spec: &VirtualService) {
    let on_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == "mesh");
    let mut seen = BTreeSet::new();
    for (index, host) in spec.hosts.iter().enumerate() {
        let field = format!("spec.hosts[{index}]");
        checks.host(&field, host, true);
        if host == "*" && on_mesh {
            checks.error(
                &field,
                "* is allowed with a gateway only",
                "name the hosts that clients of the mesh dial",
            );
        }
        if !seen.insert(host) {
            checks.error(&field, format!("{host} is there twice"), "remove one");
        }
    }
    for (index, gateway) in spec.gateways.iter().enumerate() {
        if gateway.is_empty() {
            checks.error(
                format!("spec.gateways[{index}]"),
                "a name is missing",
                "name a gateway, or mesh",
            );
        }
    }
}

fn http_rule(checks: &mut VsChecks<'_>, field: &str, rule: &HttpRoute, is_delegate: bool) {
    let actions = [
        ("route", !rule.route.is_empty()),
        ("redirect", rule.redirect.is_some()),
        ("directResponse", rule.direct_response.is_some()),
        ("delegate", rule.delegate.is_some()),
    ];
    let named: Vec<&str> = actions
        .iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| *name)
        .collect();
    match named.as_slice() {
        [] => checks.error(
            field,
            "it says neither route, redirect, directResponse nor delegate",
            "say where requests go",
        ),
        [_] => {}
        several => checks.error(
            field,
            format!("{} exclude each other", several.join(" and ")),
            "leave one of them",
        ),
    }
    if is_delegate && rule.delegate.is_some() {
        checks.error(
            format!("{field}.delegate"),
            "a delegate cannot delegate again",
            "route here",
        );
    }
    if (rule.redirect.is_some() || rule.direct_response.is_some())
        && (rule.fault.is_some() || rule.rewrite.is_some())
    {
        checks.error(
            field,
            "redirect and directResponse exclude fault and rewrite",
            "remove them",
        );
    }
    if rule.mirror.is_some() && rule.mirrors.is_some() {
        checks.error(
            format!("{field}.mirrors"),
            "mirror and mirrors exclude each other",
            "use mirrors",
        );
    }
    for (index, found) in rule.matches.iter().enumerate() {
        http_match(checks, &format!("{field}.match[{index}]"), found);
    }
    http_destinations(checks, field, &rule.route);
}

fn http_destinations(checks: &mut VsChecks<'_>, field: &str, route: &[RouteDestination]) {
    let pairs: Vec<_> = route
        .iter()
        .map(|found| (&found.destination, found.weight))
        .collect();
    destinations(checks, field, &pairs);
}

/// Destinations and their weights, which are relative and not negative.
fn destinations(checks: &mut VsChecks<'_>, field: &str, route: &[(&Destination, i64)]) {
    if route.len() > DESTINATIONS_MAX {
        let message = format!(
            "it has {} destinations; {DESTINATIONS_MAX} fit",
            route.len()
        );
        checks.error(
            format!("{field}.route"),
            message,
            "leave out destinations of weight 0, or join some in a subset",
        );
    }
    for (index, (destination, weight)) in route.iter().enumerate() {
        let field = format!("{field}.route[{index}]");
        checks.host(
            &format!("{field}.destination.host"),
            &destination.host,
            false,
        );
        let port = destination.port.map(|port| port.number);
        checks.port(&format!("{field}.destination.port.number"), port);
        if *weight < 0 {
            checks.error(
                format!("{field}.weight"),
                format!("{weight} is negative"),
                "use 0 for a destination that gets nothing",
            );
        } else if u32::try_from(*weight).is_err() {
            checks.error(
                format!("{field}.weight"),
                format!("{weight} is larger than {}", u32::MAX),
                "weights are relative: divide them",
            );
        }
    }
    if route.len() > 1 && route.iter().all(|(_, weight)| *weight == 0) {
        checks.error(
            format!("{field}.route"),
            "all weights are 0, so nobody gets anything",
            "give one destination a weight",
        );
    }
}

fn http_match(checks: &mut VsChecks<'_>, field: &str, found: &HttpMatch) {
    let fields = [
        ("scheme", &found.scheme),
        ("method", &found.method),
        ("authority", &found.authority),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            string_match(checks, &format!("{field}.{name}"), value, false);
        }
    }
    if let Some(uri) = &found.uri {
        string_match(checks, &format!("{field}.uri"), uri, true);
    }
    let maps: [(&str, &BTreeMap<String, StringMatch>); 3] = [
        ("headers", &found.headers),
        ("withoutHeaders", &found.without_headers),
        ("queryParams", &found.query_params),
    ];
    for (name, values) in maps {
        for (key, value) in values {
            if key.is_empty() {
                checks.error(
                    format!("{field}.{name}"),
                    "a name is missing",
                    "name what is compared",
                );
            }
            string_match(checks, &format!("{field}.{name}.{key}"), value, false);
        }
    }
    checks.port(&format!("{field}.port"), found.port);
    checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
}

fn string_match(checks: &mut VsChecks<'_>, field: &str, value: &StringMatch, may_be_empty: bool) {
    let given = [&value.exact, &value.prefix, &value.regex];
    if given.iter().filter(|given| given.is_some()).count() > 1 {
        checks.error(
            field,
            "exact, prefix and regex exclude each other",
            "leave one of them",
        );
    }
    if value.prefix.as_deref() == Some("") && !may_be_empty {
        checks.error(
            field,
            "an empty prefix fits everything",
            "leave the condition out",
        );
    }
    if let Some(regex) = value.regex.as_deref()
        // Istio's way to ask for presence.
        && regex != "*"
        && let Err(error) = Regex::new(&format!("^(?:{regex})$"))
    {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        checks.error(
            field,
            format!("the regular expression cannot be used: {reason}"),
            "see RE2's syntax",
        );
    }
}

fn tls_rule(checks: &mut VsChecks<'_>, field: &str, rule: &TlsRoute, hosts: &[String]) {
    if rule.matches.is_empty() {
        checks.error(
            format!("{field}.match"),
            "a tls rule needs a match with sniHosts",
            "name them",
        );
    }
    for (index, found) in rule.matches.iter().enumerate() {
        let field = format!("{field}.match[{index}]");
        if found.sni_hosts.is_empty() {
            checks.error(
                format!("{field}.sniHosts"),
                "names are missing",
                "name hosts of this VirtualService",
            );
        }
        for (index, name) in found.sni_hosts.iter().enumerate() {
            let field = format!("{field}.sniHosts[{index}]");
            checks.host(&field, name, true);
            let covered = |host: &String| crate::source::host::covers(host, name);
            if !hosts.iter().any(covered) {
                checks.error(
                    &field,
                    format!("{name} is none of the hosts"),
                    "add it to hosts",
                );
            }
        }
        checks.port(&format!("{field}.port"), found.port);
        subnets(checks, &field, &found.destination_subnets);
        checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
    }
    l4_destinations(checks, field, &rule.route);
}

fn tcp_rule(checks: &mut VsChecks<'_>, field: &str, rule: &TcpRoute) {
    for (index, found) in rule.matches.iter().enumerate() {
        l4_match(checks, &format!("{field}.match[{index}]"), found);
    }
    l4_destinations(checks, field, &rule.route);
}

fn l4_match(checks: &mut VsChecks<'_>, field: &str, found: &L4Match) {
    checks.port(&format!("{field}.port"), found.port);
    subnets(checks, field, &found.destination_subnets);
    checks.labels(&format!("{field}.sourceLabels"), &found.source_labels);
}

fn subnets(checks: &mut VsChecks<'_>, field: &str, subnets: &[String]) {
    for (index, subnet) in subnets.iter().enumerate() {
        if crate::source::subnet::Subnet::parse(subnet).is_none() {
            let field = format!("{field}.destinationSubnets[{index}]");
            checks.error(
                field,
                format!("{subnet} is neither an address nor a subnet"),
                "write 10.0.0.0/8",
            );
        }
    }
}

fn l4_destinations(checks: &mut VsChecks<'_>, field: &str, route: &[WeightedDestination]) {
    if route.is_empty() {
        checks.error(
            format!("{field}.route"),
            "it has no destination",
            "say where connections go",
        );
    }
    let pairs: Vec<_> = route
        .iter()
        .map(|found| (&found.destination, found.weight))
        .collect();
    destinations(checks, field, &pairs);
}
