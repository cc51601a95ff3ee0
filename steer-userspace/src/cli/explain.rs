//! `steer explain`: the very decision the kernel takes, over a copy of its maps.

use std::collections::BTreeMap;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;
use steer_common::{
    Port, Route, ServiceKey,
    addr::Peer,
    flow::Affinity,
    logic::{Decision, Dialled, Steer, decide},
    reason::{Outcome, Reason},
    service::{CLASS_ANYONE, ROUTE_AFFINITY, ROUTE_AUTO, ROUTE_VARIES, SplitId},
};

use super::{
    Exit,
    args::{Explain, Instance},
    check,
    get::{Share, field, position, shares, virtual_service},
    instance::Seen,
    output::{self, BAD, CAREFUL, GOOD, counted, paint},
    text::Text,
};
use crate::{kernel::memories, live::Asked, requests::Shown};

mod ask;
mod egress;

use ask::Question;
pub(super) use ask::{Client, client, name_question, question};

/// The answer.
#[derive(Serialize)]
pub(super) struct Explained {
    source: String,
    /// What the client's class stands for; `*` is everyone for whom no rule says otherwise.
    client: String,
    dialled: String,
    transport: &'static str,
    service: Option<Service>,
    route: Option<Decided>,
    drawn: Option<Drawn>,
    /// What the egress guard says, unless the connection is steered: what the registry leads to is
    /// not judged again.
    egress: Option<egress::Judged>,
    outcome: &'static str,
    reason: &'static str,
    explanation: &'static str,
    /// Findings about the rule that decided.
    findings: Vec<Value>,
}

#[derive(Serialize)]
struct Service {
    namespace: String,
    name: String,
    host: String,
    port: u16,
    protocol: String,
}

/// The route that decided.
#[derive(Serialize)]
struct Decided {
    virtual_service: Option<String>,
    field: Option<String>,
    position: Option<String>,
    depth: &'static str,
    /// It becomes one of requests where that keeps the weights better.
    auto: bool,
    generation: u32,
    /// Whether it is a route for clients like this one only.
    own: bool,
    affinity_secs: Option<u32>,
    destinations: Vec<Share>,
    /// The rules that look at requests, in order.
    requests: Vec<Shown>,
    /// Where copies of requests go that are sent directly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    copies: Vec<String>,
}

/// What the next connection gets.
#[derive(Serialize)]
struct Drawn {
    /// None if the client is remembered.
    ticket: Option<u64>,
    cluster: String,
    endpoint: String,
    workload: Option<String>,
}

/// Explains one connection.
pub(super) fn run(args: &Explain, instance: &Instance) -> anyhow::Result<Exit> {
    let seen = instance.read()?;
    if let Some(question) = name_question(&seen, args)? {
        let explained = egress::explain_name(&seen, &question);
        let format = args.output.output;
        output::write(&output::answer(&explained, format, |found, _| {
            found.text()
        })?)?;
        return Ok(if explained.is_refused() {
            Exit::No
        } else {
            Exit::Done
        });
    }
    let question = question(&seen, args)?;
    let memories = match question.cookie {
        Some(cookie) => memories(&instance.pins(), cookie)?,
        None => BTreeMap::new(),
    };
    let explained = explain(&seen, &question, &memories, now_ns()?);
    output::write(&output::answer(
        &explained,
        args.output.output,
        |explained, _| text(explained),
    )?)?;
    Ok(if explained.outcome == "refused" {
        Exit::No
    } else {
        Exit::Done
    })
}

/// The explanation of a name, as text.
#[cfg(test)]
pub(super) fn name_text(seen: &Seen, question: &ask::NameQuestion) -> String {
    egress::explain_name(seen, question).text()
}

/// The clock of `bpf_ktime_get_coarse_ns`.
fn now_ns() -> anyhow::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?;
    let (secs, nanos) = (u64::try_from(now.tv_sec())?, u64::try_from(now.tv_nsec())?);
    Ok(secs * 1_000_000_000 + nanos)
}

/// Asks the copy.
pub(super) fn explain(
    seen: &Seen,
    question: &Question,
    memories: &BTreeMap<SplitId, Affinity>,
    now_ns: u64,
) -> Explained {
    let asked = Asked {
        live: &seen.live,
        class: question.class,
        memories,
        now_ns,
        attended: question.cookie.is_some(),
    };
    let dialled = Dialled {
        addr: question.dialled.ip().into(),
        port: Port::new(question.dialled.port()),
        proto: question.proto,
    };
    let decision = decide(&asked, &dialled);
    let (reason, drawn) = match &decision {
        Decision::Pass(reason) | Decision::Refuse(reason) => (*reason, None),
        Decision::Steer(steer) => (steer.reason, Some(drawn(seen, steer))),
        Decision::HandOver(..) => (Reason::HandedOver, None),
    };
    let found = route(seen, &dialled, question);
    let judged = match &decision {
        Decision::Pass(_) => egress::judged(seen, question),
        _ => None,
    };
    let reason = judged
        .as_ref()
        .and_then(egress::Judged::refused)
        .unwrap_or(reason);
    Explained {
        source: question.source.clone(),
        client: question
            .class
            .map_or_else(|| "*".to_owned(), |class| seen.class(class)),
        dialled: question.dialled.to_string(),
        transport: question.proto.name(),
        service: found.and_then(|route| service(seen, route)),
        route: found.map(|route| decided(seen, route)),
        drawn,
        egress: judged,
        outcome: match reason.outcome() {
            Outcome::Steered => "steered",
            Outcome::Refused => "refused",
            Outcome::Untouched | Outcome::Restored | Outcome::Allowed => "left as dialled",
        },
        reason: reason.name(),
        explanation: reason.help(),
        findings: found.map_or_else(Vec::new, |route| findings(seen, route)),
    }
}

/// The route that `decide` looks at: that of the class, if it has one of its own.
fn route<'a>(seen: &'a Seen, dialled: &Dialled, question: &Question) -> Option<&'a Route> {
    let row = |class| {
        let key = ServiceKey::new(class, dialled.addr, dialled.port, dialled.proto);
        seen.live.routes.get(seen.live.services.get(&key)?)
    };
    let anyone = row(CLASS_ANYONE)?;
    let class = question.class.filter(|_| anyone.has(ROUTE_VARIES));
    Some(class.and_then(row).unwrap_or(anyone))
}

fn service(seen: &Seen, route: &Route) -> Option<Service> {
    let name = seen.names.services.get(&route.service)?;
    Some(Service {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        host: name.host.clone(),
        port: route.key.port.number(),
        protocol: name.protocol.clone(),
    })
}

fn decided(seen: &Seen, route: &Route) -> Decided {
    let rule = seen.names.rules.get(&route.rule).map(|rule| &**rule);
    Decided {
        virtual_service: rule.and_then(virtual_service),
        field: rule.and_then(field),
        position: rule.and_then(position),
        depth: route.depth().name(),
        auto: route.has(ROUTE_AUTO),
        generation: route.generation,
        own: route.key.class != CLASS_ANYONE,
        affinity_secs: route.has(ROUTE_AFFINITY).then_some(route.affinity_secs),
        destinations: shares(seen, route),
        requests: seen.requests(route).to_vec(),
        copies: seen.copies(route).cloned().collect(),
    }
}

fn drawn(seen: &Seen, steer: &Steer<'_>) -> Drawn {
    let reached = seen
        .destinations(steer.route)
        .nth(steer.destination as usize);
    let pod = seen.names.workloads.get(&steer.endpoint.workload);
    let remembered = steer.reason == steer_common::Reason::Remembered;
    Drawn {
        ticket: (!remembered).then(|| seen.tickets(steer.route)),
        cluster: reached.map_or_else(|| "?".to_owned(), |found| found.cluster()),
        endpoint: Peer::to_string(&steer.endpoint.peer()),
        workload: pod.map(ToString::to_string),
    }
}

/// What the agent found about the VirtualService that decided.
fn findings(seen: &Seen, route: &Route) -> Vec<Value> {
    let Some(crate::desired::model::Rule::VirtualService { object, .. }) =
        seen.names.rules.get(&route.rule).map(|rule| &**rule)
    else {
        return Vec::new();
    };
    let about = |finding: &&Value| {
        let named = &finding["object"];
        named["kind"] == *object.kind
            && named["namespace"] == *object.namespace
            && named["name"] == *object.name
    };
    let found = seen.status["findings"].as_array().into_iter().flatten();
    found.filter(about).cloned().collect()
}

/// The decision, step by step.
pub(super) fn text(explained: &Explained) -> String {
    let mut steps = vec![format!(
        "{} dials {} over {}; its class is {}",
        explained.source, explained.dialled, explained.transport, explained.client
    )];
    if let Some(service) = &explained.service {
        steps.push(format!(
            "that is port {} ({}) of {}",
            service.port, service.protocol, service.host
        ));
    }
    if let Some(route) = &explained.route {
        steps.extend(rule(route));
    }
    if let Some(drawn) = &explained.drawn {
        let whose = drawn
            .workload
            .as_ref()
            .map_or_else(String::new, |pod| format!(", the pod {pod}"));
        steps.push(match drawn.ticket {
            Some(ticket) => format!(
                "the next ticket is {ticket}: it belongs to {}",
                drawn.cluster
            ),
            None => format!(
                "no ticket is drawn: the client was given an endpoint of {} before",
                drawn.cluster
            ),
        });
        steps.push(format!("its turn is {}{whose}", drawn.endpoint));
    }
    if let Some(judged) = &explained.egress {
        steps.extend(judged.steps());
    }
    let mut text = Text::default();
    for (number, step) in (1..).zip(&steps) {
        text.line(format_args!("{number}. {step}"));
    }
    let style = match explained.outcome {
        "steered" => GOOD,
        "refused" => BAD,
        _ => CAREFUL,
    };
    let outcome = explained.outcome;
    let why = explained.explanation;
    let why = why.strip_suffix(&format!(": {outcome}")).unwrap_or(why);
    text.line(format_args!("{}: {why}", paint(style, outcome)));
    text.lines(&check::lines(&explained.findings, false));
    text.finish()
}

/// What decided, and between which destinations.
fn rule(route: &Decided) -> Vec<String> {
    let rule = match (&route.virtual_service, &route.field) {
        (Some(name), Some(field)) => {
            let place = route.position.as_ref();
            let place = place.map_or_else(String::new, |place| format!(", at {place}"));
            format!("the rule is VirtualService {name}, {field}{place}")
        }
        _ => "no VirtualService decides: all endpoints of the service".to_owned(),
    };
    let own = if route.own {
        ", for this class only"
    } else {
        ""
    };
    let affinity = route.affinity_secs.map_or_else(String::new, |secs| {
        format!("; a client keeps its endpoint for {secs} s (sessionAffinity)")
    });
    let auto = if route.auto { " (auto)" } else { "" };
    let mut steps = vec![format!(
        "{rule}{own} (depth {}{auto}, generation {}){affinity}",
        route.depth, route.generation
    )];
    let copies = route.copies.iter();
    steps.extend(copies.map(|to| format!("requests are copied on their way: {to}")));
    if !route.requests.is_empty() {
        let rules = route.requests.iter().map(looking);
        steps.push(format!(
            "each request takes the first of these rules that fits; if none does, it is answered with 404{}",
            rules.collect::<String>()
        ));
    }
    let sum: u64 = route
        .destinations
        .iter()
        .map(|share| u64::from(share.weight))
        .sum();
    let shares = route.destinations.iter().map(|share| {
        format!(
            "\n     {}: weight {} of {sum}, {}, {} so far",
            share.cluster,
            share.weight,
            counted(share.endpoints as usize, "endpoint"),
            counted(
                usize::try_from(share.connections).unwrap_or(usize::MAX),
                "connection"
            ),
        )
    });
    if !route.destinations.is_empty() {
        let what = if route.requests.is_empty() {
            "it leads to"
        } else {
            "where requests cannot be looked at, connections go to"
        };
        steps.push(format!("{what}{}", shares.collect::<String>()));
    }
    steps
}

/// A rule that looks at requests.
fn looking(shown: &Shown) -> String {
    let field = field(&shown.rule).unwrap_or_default();
    format!(
        "\n     {field}: {} -> {}",
        shown.matches.join(" or "),
        [&shown.leads_to[..], &shown.mirrors].concat().join(", ")
    )
}
