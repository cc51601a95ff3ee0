//! What the pipeline makes, as text that a person can check.

use std::{collections::BTreeMap, fmt::Write as _};

use steer::{
    desired::{
        egress::model::{Egress, Group, Mode},
        model::{Desired, Endpoint, Port, Route, Rule, Sides, View},
    },
    finding::Finding,
    image::DestinationName,
    plan::{Change, EgressStep, Name, Names, Plan, Step},
    requests::{Listed, Shown, listed},
};
use steer_common::{
    Proto,
    addr::Addr,
    service::{
        CLASS_ANYONE, ClassId, ROUTE_AFFINITY, ROUTE_AUTO, ROUTE_HIDDEN, ROUTE_VARIES,
        Route as Row, ServiceKey,
    },
};

/// Services with the views of each class, pods with their classes, findings.
pub(crate) fn desired(desired: &Desired) -> String {
    let mut text = String::new();
    let out = &mut text;
    for service in &desired.services {
        let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
        line(
            out,
            0,
            &format!("service {}  {}", service.host, addresses.join(" ")),
        );
        for found in &service.ports {
            port(out, found, &desired.class_names);
        }
    }
    for (pod, class) in &desired.classes {
        let name = class_name(*class, &desired.class_names);
        line(out, 0, &format!("pod {pod}  {name}"));
    }
    for (pod, Sides { client, server }) in &desired.access_logs.pods {
        let sides = [(client, "what it asks"), (server, "what it is asked")];
        let sides = sides.into_iter().filter(|(on, _)| **on);
        let sides: Vec<&str> = sides.map(|(_, name)| name).collect();
        line(
            &mut text,
            0,
            &format!("log of pod {pod}  {}", sides.join(", ")),
        );
    }
    egress(&mut text, &desired.egress);
    listed(&desired.listeners)
        .iter()
        .for_each(|found| door(&mut text, found));
    text + &findings(&desired.findings)
}

/// A virtual host of a gateway.
fn door(out: &mut String, found: &Listed) {
    let (port, protocol, name, vhost) =
        (found.port, &found.protocol, &found.name, &found.vhost_name);
    let refused = if found.refused { "  refused" } else { "" };
    let domains = found.domains.join(" ");
    let text = format!("listener {port} {protocol} {name}  {vhost}  {domains}{refused}");
    line(out, 0, &text);
    for shown in &found.rules {
        let (takes, leads_to) = (shown.matches.join(" or "), shown.leads_to.join(" "));
        let text = format!("{takes} -> {leads_to} by {}", rule(&shown.rule));
        line(out, 1, &text);
    }
}

/// What pods may reach, if that is not everything.
fn egress(out: &mut String, egress: &Egress) {
    let mut policies = egress.policies.values();
    if policies.all(|policy| policy.mode == Mode::Open) {
        return;
    }
    for found in egress.policies.values() {
        let (mode, rule) = (found.mode.name(), rule(&found.rule));
        line(out, 0, &format!("policy {}  {mode} by {rule}", found.name));
        for (net, row) in &found.nets {
            let never = if row.never_learned {
                "  never learned"
            } else {
                ""
            };
            let ports = row
                .group
                .as_ref()
                .map_or_else(String::new, |group| ports(group));
            line(out, 1, &format!("net {net}{ports}{never}"));
        }
        for (name, group) in &found.names {
            line(out, 1, &format!("name {name}{}", ports(group)));
        }
    }
    for (pod, policy) in &egress.pods {
        line(out, 0, &format!("pod {pod}  policy {policy}"));
    }
    for resolver in &egress.resolvers {
        line(out, 0, &format!("resolver {resolver}"));
    }
    for name in &egress.resolve {
        line(out, 0, &format!("resolve {name}"));
    }
}

/// `  a.example 443/TCP/sni`.
fn ports(group: &Group) -> String {
    let mut text = format!("  {}", group.name.text());
    for (key, rule) in &group.ports {
        let (port, proto, check) = (key.port, key.proto, rule.check.name());
        text += &format!(" {port}/{proto}/{check}");
    }
    text
}

/// One line for each finding.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let object = finding.object.as_ref().map(ToString::to_string);
        let position = finding.position.as_ref().map(ToString::to_string);
        line(
            &mut text,
            0,
            &format!(
                "{} [{}] ({} {}) {}: {}",
                finding.severity,
                finding.code,
                object.as_deref().unwrap_or("-"),
                position.as_deref().unwrap_or("-"),
                finding.field,
                finding.message
            ),
        );
    }
    text
}

fn port(out: &mut String, port: &Port, classes: &BTreeMap<ClassId, String>) {
    let affinity = port
        .affinity_secs
        .map_or_else(String::new, |secs| format!("  affinity {secs} s"));
    let transport = match port.proto {
        Proto::Tcp => "TCP",
        Proto::Udp => "UDP",
    };
    let (number, name, protocol) = (port.number, &port.name, &port.protocol);
    line(
        out,
        1,
        &format!("port {number}/{transport} {name:?} {protocol}{affinity}"),
    );
    for (class, view) in &port.views {
        let class = class_name(*class, classes);
        match view {
            View::Hidden => line(out, 2, &format!("{class}: hidden")),
            View::Route(found) => route(out, &class, found),
        }
    }
}

fn route(out: &mut String, class: &str, route: &Route) {
    let rule = rule(&route.rule);
    line(
        out,
        2,
        &format!("{class}: {} by {rule}", route.depth.name()),
    );
    for found in &route.destinations {
        let name = DestinationName {
            host: found.host.clone(),
            port: found.port,
            subset: found.subset.clone(),
            weight: found.weight,
            destination_rules: Vec::new(),
        };
        let rules: Vec<String> = found
            .destination_rules
            .iter()
            .map(|rule| format!("  {}/{}", rule.namespace, rule.name))
            .collect();
        let (weight, cluster) = (found.weight, name.cluster());
        line(out, 3, &format!("{weight}  {cluster}{}", rules.join("")));
        if found.endpoints.is_empty() {
            line(out, 4, "refused");
        }
        for endpoint in found.endpoints.iter() {
            let pod = endpoint.pod.as_ref().map(|pod| format!("  {pod}"));
            let pod = pod.unwrap_or_default();
            line(out, 4, &format!("{}{pod}", socket(endpoint)));
        }
    }
    for found in &route.requests {
        let shown = Shown::new(found);
        let leads_to = [shown.leads_to, shown.mirrors].concat();
        let (takes, leads_to) = (shown.matches.join(" or "), leads_to.join(", "));
        let rule = self::rule(&shown.rule);
        line(out, 3, &format!("requests {takes} -> {leads_to} by {rule}"));
    }
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Service => "the service".to_owned(),
        Rule::Setting { name } => name.clone(),
        Rule::Object {
            object,
            field,
            position,
        } => {
            let position = position.as_ref().map(ToString::to_string);
            format!("{object} {field} ({})", position.unwrap_or_default())
        }
        Rule::VirtualService {
            object,
            field,
            name,
            position,
        } => {
            let name = name.as_ref().map(|name| format!(" {name:?}"));
            let position = position.as_ref().map(ToString::to_string);
            format!(
                "{object} {field}{} ({})",
                name.unwrap_or_default(),
                position.unwrap_or_default()
            )
        }
    }
}

fn class_name(class: ClassId, classes: &BTreeMap<ClassId, String>) -> String {
    if class == CLASS_ANYONE {
        return "anyone".to_owned();
    }
    let text = classes.get(&class).map_or("?", String::as_str);
    // The signature of a client of which no rule asks anything that it has.
    format!("class [{text}]")
}

fn socket(endpoint: &Endpoint) -> String {
    std::net::SocketAddr::new(endpoint.ip, endpoint.port).to_string()
}

/// The steps in order; rows and numbers by what they stand for.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut names = Names::default();
    for (number, name) in &plan.names {
        names.learn(*number, Name::clone(name));
    }
    let mut text = format!("generation {}\n", plan.generation);
    for found in &plan.steps {
        step(&mut text, found, &names);
    }
    text
}

fn step(out: &mut String, step: &Step, names: &Names) {
    match step {
        // The first and the last of every plan.
        Step::Begin { .. } | Step::Finish { .. } => {}
        Step::Endpoints { first, rows } => {
            line(out, 0, "fill ENDPOINTS");
            for (index, row) in (*first..).zip(rows) {
                let workload = names.workloads.get(&row.workload);
                let workload = workload.map_or_else(|| "-".to_owned(), ToString::to_string);
                let to = socket_of(row.addr, row.port.number());
                line(out, 1, &format!("{index}: {to} {workload}"));
            }
        }
        Step::StartTickets { split } => line(out, 0, &format!("start TICKETS {split}")),
        Step::StartCounters { first, count } => {
            line(out, 0, &format!("start COUNTERS {first}, {count} of them"));
        }
        Step::Route { row, route } => {
            line(out, 0, &format!("fill ROUTES {row}: {}", row_text(route)));
            for found in route.destinations() {
                let name = names.destinations.get(&found.subset);
                let name = name.map_or_else(|| "-".to_owned(), |name| name.cluster());
                let (first, count, weight) = (found.first, found.count, found.weight);
                line(
                    out,
                    1,
                    &format!("{weight}/{} {name}: {count} from {first}", route.total),
                );
            }
        }
        Step::AddMember { key, member } => {
            let peer = socket_of(key.endpoint.addr, key.endpoint.port.number());
            let (endpoint, destination) = (member.endpoint, member.destination);
            line(
                out,
                0,
                &format!(
                    "add MEMBERS {} {peer}: {endpoint} of {destination}",
                    key.split
                ),
            );
        }
        Step::Publish { key, row, replaces } => {
            let old = replaces.map(|old| format!(" instead of {old}"));
            let key = key_text(key);
            line(
                out,
                0,
                &format!("publish {key} -> {row}{}", old.unwrap_or_default()),
            );
        }
        Step::Egress(step) => egress_step(out, step, names),
        Step::SetSource { cookie, source } => {
            let pod = names.workloads.get(&source.workload);
            let pod = pod.map_or_else(|| "-".to_owned(), ToString::to_string);
            let class = source.class.number();
            line(
                out,
                0,
                &format!("set SOURCES {cookie}: {pod} class {class}"),
            );
        }
        Step::RemoveSource { cookie } => line(out, 0, &format!("remove SOURCES {cookie}")),
        Step::Unpublish { key, row } => {
            line(out, 0, &format!("unpublish {} -> {row}", key_text(key)));
        }
        Step::RemoveMember { key } => {
            let peer = socket_of(key.endpoint.addr, key.endpoint.port.number());
            line(out, 0, &format!("remove MEMBERS {} {peer}", key.split));
        }
    }
}

fn row_text(row: &Row) -> String {
    let flags = [
        (ROUTE_VARIES, " varies"),
        (ROUTE_HIDDEN, " hidden"),
        (ROUTE_AUTO, " auto"),
        (ROUTE_AFFINITY, " affinity"),
    ];
    let set: String = flags
        .into_iter()
        .filter(|(flag, _)| row.has(*flag))
        .map(|(_, name)| name)
        .collect();
    let (split, counters, stride) = (row.split, row.counters, row.stride);
    format!(
        "{} {}{set}, tickets {split}, counters {counters}, stride {stride}",
        key_text(&row.key),
        row.depth().name()
    )
}

fn key_text(key: &ServiceKey) -> String {
    let transport = if key.proto == Proto::Udp as u8 {
        "UDP"
    } else {
        "TCP"
    };
    let to = socket_of(key.addr, key.port.number());
    match key.class {
        CLASS_ANYONE => format!("{to}/{transport}"),
        class => format!("{to}/{transport} for class {class}"),
    }
}

fn socket_of(addr: Addr, port: u16) -> String {
    std::net::SocketAddr::new(addr.to_ip(), port).to_string()
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{:indent$}{}", "", text.trim_end(), indent = 2 * depth);
}

fn egress_step(out: &mut String, step: &EgressStep, names: &Names) {
    let host = |number: &u32| {
        let name = names.hosts.get(number).map(|name| name.text());
        name.unwrap_or_else(|| "-".to_owned())
    };
    let map = step.map();
    let text = match step {
        EgressStep::Settings(settings) => format!("switch {map} {}", settings.on),
        EgressStep::Policy(id, row) => {
            format!(
                "set {map} {id}: {} generation {}",
                row.mode().name(),
                row.generation
            )
        }
        EgressStep::Net(Change::Set((key, bits), row)) => format!(
            "set {map} {}: {}/{bits} {} flags {}",
            key.policy,
            key.addr,
            host(&row.host),
            row.flags
        ),
        EgressStep::Host(Change::Set(key, row)) => format!(
            "set {map} {}: {} {}/{} {}",
            key.policy,
            host(&key.host),
            key.port.number(),
            key.proto,
            row.check().name()
        ),
        EgressStep::Name(Change::Set(key, row)) => {
            format!("set {map} {:?} {}", key.0, host(&row.host))
        }
        EgressStep::Resolver(Change::Set(addr, ())) => format!("set {map} {addr}"),
        other => format!("{map} {other:?}"),
    };
    line(out, 0, &text);
}
