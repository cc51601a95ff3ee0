//! What rules ask for, beside what traffic does.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use steer_common::service::{CLASS_ANYONE, ClassId};

use super::{Node, node};
use crate::{
    desired::{
        Desired,
        model::{Destination, RequestRule, Route, Rule, Service as Registered, View},
    },
    requests::Shown,
    telemetry::{Directory, Service},
};

/// Services that are told at most.
const SERVICES_MAX: usize = 1_000;
/// Routes of one service.
const ROUTES_MAX: usize = 16;
/// Rules of one route.
const RULES_MAX: usize = 32;
/// Endpoints of one destination.
const ENDPOINTS_MAX: usize = 16;

/// A service of the registry, and the rules of its ports.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Ruled {
    /// Its host, fully qualified.
    pub host: String,
    /// Its short name; the host, if that is none of Kubernetes.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it is a host that a ServiceEntry names.
    pub outside: bool,
    /// By port and class of client; no more than sixteen.
    pub routes: Vec<Routed>,
}

/// What one class of client sees of a port.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Routed {
    /// The port that clients dial.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: String,
    /// Which clients; `*` are all others.
    pub client: String,
    /// How deep one looks: `connect`, `hello` or `request`.
    pub depth: String,
    /// Whether that may change (`steer.dev/split: auto`).
    pub auto: bool,
    /// Rules that look at requests, and then the one for connections.
    pub rules: Vec<Ruling>,
}

/// A rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ruling {
    /// Who made it, e.g. `VirtualService shop/catalog`; none is the service itself.
    pub object: Option<String>,
    /// The field, e.g. `spec.http[0]`.
    pub field: Option<String>,
    /// File, line and column.
    pub place: Option<String>,
    /// Which requests it takes; empty if it does not look at them.
    pub matches: Vec<String>,
    /// What it answers by itself, if it does.
    pub answers: Vec<String>,
    /// Where it leads.
    pub leads_to: Vec<Led>,
    /// Where copies go.
    pub mirrors: Vec<Led>,
}

/// A destination of a rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Led {
    /// The host.
    pub host: String,
    /// The subset.
    pub subset: Option<String>,
    /// Its weight, in percent.
    pub percent: f64,
    /// Who is there.
    pub workloads: Vec<Node>,
    /// Its endpoints, and their pods; no more than sixteen.
    pub endpoints: Vec<String>,
    /// How many there are.
    pub endpoints_in_all: usize,
}

impl Ruled {
    /// Those of what is wanted, and how many were left out.
    pub fn all(desired: &Desired, directory: &Directory) -> (Vec<Self>, usize) {
        let all = desired.services.iter().take(SERVICES_MAX);
        let all = all.map(|service| Self::of(service, desired, directory));
        let left_out = desired.services.len().saturating_sub(SERVICES_MAX);
        (all.collect(), left_out)
    }

    fn of(found: &Registered, desired: &Desired, directory: &Directory) -> Self {
        let client = |class: ClassId| {
            let name = desired.class_names.get(&class);
            match name {
                _ if class == CLASS_ANYONE => "*".to_owned(),
                Some(name) => name.clone(),
                None => class.to_string(),
            }
        };
        let routes = found.ports.iter().flat_map(|port| {
            let seen = port.views.iter().filter_map(|(class, view)| match view {
                View::Hidden => None,
                View::Route(route) => Some((*class, route)),
            });
            seen.map(|(class, route)| Routed {
                port: port.number,
                protocol: port.protocol.clone(),
                client: client(class),
                depth: route.depth.name().to_owned(),
                auto: route.auto,
                rules: rules(route, directory),
            })
        });
        let service = Service::of(found);
        Self {
            outside: service.name == service.host,
            routes: routes.take(ROUTES_MAX).collect(),
            host: service.host,
            name: service.name,
            namespace: service.namespace,
        }
    }
}

fn rules(route: &Route, directory: &Directory) -> Vec<Ruling> {
    let of_requests = route.requests.iter();
    let of_requests = of_requests.map(|rule| of_requests_rule(rule, directory));
    // One that only copies or counts says the same as the one for connections.
    let looks = route.depth == steer_common::Depth::Request;
    let mirrors = (!looks).then(|| route.requests.iter().flat_map(|rule| &rule.mirrors));
    let of_connections = Ruling {
        matches: Vec::new(),
        answers: Vec::new(),
        leads_to: leads_to(&route.destinations, directory),
        mirrors: copies(mirrors.into_iter().flatten(), directory),
        ..ruling(&route.rule)
    };
    let of_requests = of_requests.filter(|_| looks).take(RULES_MAX);
    of_requests.chain([of_connections]).collect()
}

fn of_requests_rule(rule: &RequestRule, directory: &Directory) -> Ruling {
    let shown = Shown::new(rule);
    Ruling {
        answers: if rule.destinations.is_empty() {
            shown.leads_to
        } else {
            Vec::new()
        },
        matches: shown.matches,
        leads_to: leads_to(&rule.destinations, directory),
        mirrors: copies(rule.mirrors.iter(), directory),
        ..ruling(&rule.rule)
    }
}

fn ruling(rule: &Rule) -> Ruling {
    let (object, field, position) = match rule {
        Rule::Service => (None, None, None),
        Rule::Setting { name } => (Some(name.clone()), None, None),
        Rule::VirtualService {
            object,
            field,
            position,
            ..
        }
        | Rule::Object {
            object,
            field,
            position,
        } => (
            Some(object.to_string()),
            Some(field.clone()).filter(|field| !field.is_empty()),
            position.as_ref(),
        ),
    };
    Ruling {
        object,
        field,
        place: position.map(ToString::to_string),
        matches: Vec::new(),
        answers: Vec::new(),
        leads_to: Vec::new(),
        mirrors: Vec::new(),
    }
}

fn leads_to(all: &[Destination], directory: &Directory) -> Vec<Led> {
    let whole: u64 = all.iter().map(|to| u64::from(to.weight)).sum();
    let percent = |to: &Destination| {
        let share = f64::from(to.weight) * 100.0;
        #[expect(clippy::cast_precision_loss, reason = "a handful of weights")]
        let whole = whole.max(1) as f64;
        share / whole
    };
    all.iter()
        .map(|to| led(to, percent(to), directory))
        .collect()
}

fn copies<'a>(
    all: impl Iterator<Item = &'a crate::desired::model::Mirror>,
    directory: &Directory,
) -> Vec<Led> {
    all.map(|copy| led(&copy.to, f64::from(copy.millionths) / 10_000.0, directory))
        .collect()
}

fn led(to: &Destination, percent: f64, directory: &Directory) -> Led {
    let pods = to.endpoints.iter().filter_map(|found| found.pod.as_ref());
    let workloads: BTreeSet<Node> = pods.map(|pod| node(directory.pod(pod))).collect();
    let endpoint = |found: &crate::desired::model::Endpoint| {
        let address = std::net::SocketAddr::new(found.ip, found.port);
        let pod = found.pod.as_ref().map(|pod| format!(" {pod}"));
        format!("{address}{}", pod.unwrap_or_default())
    };
    Led {
        host: to.host.clone(),
        subset: to.subset.clone(),
        percent,
        workloads: workloads.into_iter().take(ENDPOINTS_MAX).collect(),
        endpoints: to
            .endpoints
            .iter()
            .take(ENDPOINTS_MAX)
            .map(endpoint)
            .collect(),
        endpoints_in_all: to.endpoints.len(),
    }
}

/// What an agent answers at `/graph.json`: what was counted, and what rules ask for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// The generation in force.
    #[serde(default)]
    pub generation: u32,
    /// Whether what is written is in force.
    #[serde(default)]
    pub applied: bool,
    /// By namespace and name; no more than a thousand.
    #[serde(default)]
    pub services: Arc<Vec<Ruled>>,
    /// Services that are not among them.
    #[serde(default)]
    pub services_left_out: usize,
    /// What was counted.
    #[serde(flatten)]
    pub graph: super::Graph,
}
