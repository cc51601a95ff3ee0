//! Three configurations, and what clients see of each: who answers for the catalog, and what may be
//! reached outside.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use steer_tests::{
    client::{Attempt, Storm},
    lab::{Lab, Network},
    link::{self, Route},
    netns,
    pod::Pod,
    server::identity::Server,
    topology::{self, CATALOG_SUBSETS, ELSEWHERE_V4, OUTSIDE, OUTSIDE_V4},
};

/// A configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Config {
    /// The catalog is v1, for the forum v2; outside may be reached.
    First,
    /// The other way round; elsewhere may be reached, and there is one more service.
    Second,
    /// The catalog is v1 for everyone; nobody asks what may be reached.
    Open,
}

/// What each client sees of each thing: the answers of several attempts.
pub(crate) type Seen = BTreeMap<&'static str, Vec<String>>;

/// Things, each by the pod that asks and what it dials.
const THINGS: [(&str, &str, SocketAddr); 6] = [
    ("catalog of the client", "client", at([10, 200, 1, 92], 80)),
    ("catalog of the forum", "forum", at([10, 200, 1, 92], 80)),
    (
        "a service that comes and goes",
        "client",
        at([10, 200, 1, 77], 80),
    ),
    (
        "outside",
        "client",
        SocketAddr::new(std::net::IpAddr::V4(OUTSIDE_V4), 7000),
    ),
    (
        "elsewhere",
        "client",
        SocketAddr::new(std::net::IpAddr::V4(ELSEWHERE_V4), 7000),
    ),
    (
        "what nobody allows",
        "client",
        SocketAddr::new(std::net::IpAddr::V4(OUTSIDE_V4), 7001),
    ),
];
/// Attempts for each thing.
const ATTEMPTS: usize = 4;
/// The answer of a refusal.
const REFUSED: &str = "ECONNREFUSED";

const fn at([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)),
        port,
    )
}

impl Config {
    /// What is seen of a thing when this is in force; none if it is left as dialled, to nowhere.
    pub(crate) fn answer(self, thing: &str) -> Option<&'static str> {
        Some(match (thing, self) {
            ("catalog of the client", Self::First | Self::Open)
            | ("catalog of the forum", Self::Second | Self::Open) => "catalog-v1",
            ("catalog of the client", Self::Second) | ("catalog of the forum", Self::First) => {
                "catalog-v2"
            }
            ("a service that comes and goes", Self::Second) => "webapp",
            ("a service that comes and goes", Self::First | Self::Open) => return None,
            ("outside", Self::First | Self::Open)
            | ("elsewhere", Self::Second | Self::Open)
            | (_, Self::Open) => OUTSIDE,
            _ => REFUSED,
        })
    }

    /// The files of this configuration.
    pub(crate) fn write(self, lab: &Lab) -> Result<()> {
        let (ours, others) = match self {
            Self::First => ("v1", "v2"),
            Self::Second => ("v2", "v1"),
            Self::Open => ("v1", "v1"),
        };
        let mode = if self == Self::Open {
            "ALLOW_ANY"
        } else {
            "REGISTRY_ONLY"
        };
        let mut texts = vec![mesh(mode), route(ours, others)];
        match self {
            Self::First => texts.push(entry("outside", &OUTSIDE_V4.to_string())),
            Self::Second => {
                texts.push(entry("elsewhere", &ELSEWHERE_V4.to_string()));
                texts.push(extra());
            }
            Self::Open => {}
        }
        lab.configure("faults.yaml", &texts.join("---\n"))
    }
}

/// The bookstore, with servers outside.
pub(crate) fn raise(purpose: &str) -> Result<Lab> {
    let lab = topology::bookstore_for_storms(&Lab::fresh_name(purpose))?;
    let any = |port| SocketAddr::from(([0_u16; 8], port));
    let server = Server {
        tcp: vec![any(7000), any(7001)],
        ..Server::default()
    };
    server.start(lab.pod(OUTSIDE)?)?;
    lab.configure("destination-rule.yaml", CATALOG_SUBSETS)?;
    for client in ["client", "forum"] {
        refuse_services(lab.pod(client)?)?;
    }
    Ok(lab)
}

/// Whoever is not steered learns at once that there is no way to a service's address.
fn refuse_services(pod: &Pod) -> Result<()> {
    netns::netlink(pod.net(), |handle| async move {
        for services in Network::default().services {
            link::add_route(&handle, Route::unreachable(services)).await?;
        }
        Ok(())
    })
}

/// Looks at everything.
pub(crate) fn look(lab: &Lab) -> Result<Seen> {
    let mut seen = Seen::new();
    for client in ["client", "forum"] {
        let of_client = THINGS.iter().filter(|(_, pod, _)| *pod == client);
        let targets: Vec<SocketAddr> = of_client.map(|(.., target)| *target).collect();
        let storm = Storm {
            timeout: Duration::from_secs(2),
            targets: targets.clone(),
            ..Storm::new(targets[0], (targets.len() * ATTEMPTS) as u64)
        };
        for attempt in storm.run(lab.pod(client)?)? {
            let thing = THINGS
                .iter()
                .find(|(_, pod, target)| *pod == client && *target == attempt.target)
                .context("nobody asked for that")?;
            seen.entry(thing.0).or_default().push(answer(&attempt));
        }
    }
    Ok(seen)
}

fn answer(attempt: &Attempt) -> String {
    attempt.outcome().to_owned()
}

/// What is neither as in one configuration nor as in the other, or is both at once.
pub(crate) fn mixed(seen: &Seen, ends: [Config; 2]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (&thing, answers) in seen {
        let is = |config: Config| {
            answers.iter().all(|answer| match config.answer(thing) {
                Some(wanted) => answer == wanted,
                // Nobody has the address of the service.
                None => {
                    ["EHOSTUNREACH", "ENETUNREACH", "TIMEOUT", REFUSED].contains(&answer.as_str())
                }
            })
        };
        if !ends.into_iter().any(is) {
            complaints.push(format!("{thing}: {answers:?} between {ends:?}"));
        }
    }
    complaints
}

fn mesh(mode: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
         data:\n  mesh: |\n    outboundTrafficPolicy: {{mode: {mode}}}\n"
    )
}

fn route(ours: &str, forum: &str) -> String {
    let to = |subset: &str| format!("[{{destination: {{host: catalog, subset: {subset}}}}}]");
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
         metadata: {{name: catalog, namespace: istioinaction}}\nspec:\n  hosts: [catalog]\n  http:\n    \
         - match: [{{sourceLabels: {{app: forum}}}}]\n      route: {}\n    - route: {}\n",
        to(forum),
        to(ours)
    )
}

fn entry(name: &str, address: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
         metadata: {{name: {name}, namespace: istioinaction}}\nspec:\n  hosts: [{name}.example.com]\n  \
         addresses: [{address}]\n  ports: [{{number: 7000, name: tcp, protocol: TCP}}]\n  \
         resolution: NONE\n  location: MESH_EXTERNAL\n"
    )
}

/// One more service, in front of the webapp.
fn extra() -> String {
    "apiVersion: v1\nkind: Service\nmetadata: {name: extra, namespace: istioinaction}\nspec:\n  \
     clusterIP: 10.200.1.77\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\n\
     apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: extra-ipv4\n  \
     namespace: istioinaction\n  labels: {kubernetes.io/service-name: extra}\n\
     addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n  \
     - addresses: [10.10.0.14]\n    conditions: {ready: true}\n"
        .to_owned()
}
