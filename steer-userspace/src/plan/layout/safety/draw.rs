//! Any image: services with rows of classes, clients, and what they may reach.

use std::{collections::BTreeMap, net::IpAddr, ops::RangeInclusive, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use steer_common::{
    Proto,
    addr::{Addr, Port as Number},
    egress::PolicyId,
    service::{Depth, ServiceKey},
};

use super::seen::Probe;
use crate::{
    desired::{
        egress::model::{
            ANYONE, Check, Group, GroupName, Mode, Net, Policy, PortKey, PortRule, Subnet,
        },
        model::{Endpoint, PodRef, Rule},
    },
    image::{
        Destination, DestinationName, Image, Route, ServiceName, Source,
        egress::{Found, Port},
    },
};

pub(super) const SERVICES: [u8; 4] = [1, 2, 3, 4];
pub(super) const CLASSES: u32 = 3;
/// `ANYONE` is 0; the others get their numbers in the order in which they are first used.
pub(super) const POLICIES: [PolicyId; 3] = [0, 1, 2];
const NAMES: [&str; 3] = [ANYONE, "a", "b"];
const NETS: [&str; 5] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "192.0.2.0/24",
];
const ADDRESSES: [&str; 6] = [
    "10.2.0.1",
    "10.1.9.1",
    "10.1.2.9",
    "10.1.2.3",
    "192.0.2.1",
    "198.51.100.1",
];
/// Names that are asked for.
const QUESTIONS: [&str; 3] = ["a.example.com", "b.example.com", "example.com"];
const PORTS: RangeInclusive<u16> = 80..=82;
const HOSTS: RangeInclusive<usize> = 0..=2;

pub(super) fn probes() -> impl Iterator<Item = Probe> {
    let addresses = ADDRESSES.iter().map(|text| text.parse::<IpAddr>().unwrap());
    addresses.flat_map(|ip| PORTS.map(move |port| (ip, port)))
}

pub(super) fn key(service: u8, class: u32) -> ServiceKey {
    let addr = Addr::from(std::net::Ipv4Addr::new(10, 200, 1, service));
    ServiceKey::new(class, addr, Number::new(80), Proto::Tcp)
}

/// Any image.
pub(super) fn image() -> impl Strategy<Value = Image> {
    let client = (0..CLASSES, 0_usize..3, 0_u32..2, 1_u8..3);
    let clients = prop::collection::btree_map(1_u64..5, client, 0..4);
    (services(), clients, egress(), found()).prop_map(|(services, clients, policies, found)| {
        let mut image = Image {
            routes: services,
            ..Image::default()
        };
        image.egress.policies = policies;
        image.egress.found = Arc::new(found);
        for (cookie, (class, policy, moved, last)) in clients {
            // Interfaces go from one pod to another, as numbers of theirs do.
            let index = u32::try_from(cookie).unwrap() + moved;
            client_of(&mut image, cookie, class, NAMES[policy], index, last);
        }
        image
    })
}

/// What names were resolved to.
fn found() -> impl Strategy<Value = Found> {
    let addresses = subsequence(ADDRESSES.to_vec(), 0..=2);
    vec(option::weighted(0.4, addresses), QUESTIONS.len()).prop_map(|drawn| {
        let names = QUESTIONS.iter().zip(drawn);
        let names = names.filter_map(|(name, addresses)| {
            let until = |text: &str| (text.parse().unwrap(), u32::MAX);
            let addresses = addresses?.into_iter().map(until).collect();
            Some(((*name).to_owned(), addresses))
        });
        names.collect()
    })
}

/// What the kernel learns between steps of one plan: before which, for whom, a name, an address.
pub(super) fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = (
        0_usize..80,
        0_u32..3,
        prop::sample::select(QUESTIONS.to_vec()),
        prop::sample::select(ADDRESSES.to_vec()),
    );
    let answer = answer.prop_map(|(step, policy, name, address)| Answer {
        step,
        policy,
        name,
        address: address.parse().unwrap(),
    });
    vec(answer, 0..6)
}

/// A DNS answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) step: usize,
    pub(super) policy: PolicyId,
    pub(super) name: &'static str,
    pub(super) address: IpAddr,
}

fn client_of(image: &mut Image, cookie: u64, class: u32, policy: &str, index: u32, last: u8) {
    let policy = if image.egress.policies.contains_key(policy) {
        policy
    } else {
        ANYONE
    };
    let pod = PodRef {
        namespace: "shop".to_owned(),
        name: format!("pod{cookie}"),
    };
    let source = Source {
        policy: policy.to_owned(),
        addresses: vec![[10, 0, 0, last].into()],
        ..Source::new(class, pod.clone())
    };
    image.sources.insert(cookie, source);
    if image.egress.policies.is_empty() {
        return;
    }
    let port = Port {
        cookie,
        pod,
        policy: policy.to_owned(),
        addresses: vec![[10, 0, 0, last].into()],
        bridge: 0,
    };
    image.egress.ports.insert(index, port);
}

type Drawn = (Vec<(u32, u8)>, bool, bool);

fn services() -> impl Strategy<Value = BTreeMap<ServiceKey, Arc<Route>>> {
    let destinations = vec((1_u32..4, 0_u8..3), 1..3);
    let row = (destinations, prop::bool::ANY, prop::bool::weighted(0.1));
    let rows = (row.clone(), option::of(row.clone()), option::of(row));
    let drawn = vec(option::of(rows), SERVICES.len());
    (drawn, 0_u8..2).prop_map(|(drawn, moved)| {
        let mut routes = BTreeMap::new();
        for (service, rows) in SERVICES.into_iter().zip(drawn) {
            let Some((anyone, one, two)) = rows else {
                continue;
            };
            let classes: Vec<_> = [(1, one), (2, two)]
                .into_iter()
                .filter_map(|(class, row)| Some((class, row?)))
                .collect();
            let varies = !classes.is_empty();
            // A service moves to the address of another.
            let name = service ^ moved;
            routes.insert(key(service, 0), route(name, 0, &anyone, varies));
            for (class, row) in &classes {
                routes.insert(key(service, *class), route(name, *class, row, false));
            }
        }
        routes
    })
}

fn route(service: u8, class: u32, (drawn, affinity, hidden): &Drawn, varies: bool) -> Arc<Route> {
    let name = format!("s{service}-{class}");
    let destination = |(index, &(weight, endpoints)): (usize, &(u32, u8))| Destination {
        name: Arc::new(DestinationName {
            host: name.clone(),
            port: 80,
            subset: Some(format!("v{index}")),
            weight,
            destination_rules: Vec::new(),
        }),
        endpoints: (0..endpoints)
            .map(|last| Endpoint {
                ip: [
                    10,
                    50 + service,
                    u8::try_from(class).unwrap() * 10 + u8::try_from(index).unwrap(),
                    last,
                ]
                .into(),
                port: 3000,
                pod: None,
            })
            .collect(),
    };
    Arc::new(Route {
        service: Arc::new(ServiceName {
            namespace: "shop".to_owned(),
            name: name.clone(),
            host: name.clone(),
            port_name: "http".to_owned(),
            protocol: "HTTP".to_owned(),
        }),
        rule: Arc::new(Rule::Service),
        hidden: *hidden,
        varies,
        depth: Depth::Connect,
        auto: false,
        affinity_secs: u32::from(*affinity) * 60,
        destinations: drawn.iter().enumerate().map(destination).collect(),
    })
}

fn egress() -> impl Strategy<Value = BTreeMap<String, Arc<Policy>>> {
    let policies = vec(policy(), NAMES.len());
    (
        prop::bool::weighted(0.85),
        policies,
        subsequence(vec![1_usize, 2], 0..=2),
    )
        .prop_map(|(any, drawn, present)| {
            let mut policies = BTreeMap::new();
            for (index, policy) in drawn.into_iter().enumerate() {
                let name = NAMES[index];
                if any && (index == 0 || present.contains(&index)) {
                    let policy = Policy {
                        name: name.to_owned(),
                        ..policy
                    };
                    policies.insert(name.to_owned(), Arc::new(policy));
                }
            }
            policies
        })
}

fn policy() -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::Audit), 1 => Just(Mode::Open)];
    let port =
        prop_oneof![2 => Just(None), 2 => Just(Some(Check::Address)), 1 => Just(Some(Check::Sni))];
    let hosts = vec(vec(port, PORTS.count()), HOSTS.count());
    let net = option::of((option::of(HOSTS), prop::bool::weighted(0.1)));
    let names = vec(option::of(HOSTS), 3);
    (mode, hosts, vec(net, NETS.len()), names).prop_map(|(mode, hosts, nets, names)| {
        let groups: Vec<Arc<Group>> = hosts.iter().enumerate().map(group).collect();
        let nets = NETS.iter().zip(nets).filter_map(|(text, net)| {
            let (host, never_learned) = net?;
            let group = host.map(|host| Arc::clone(&groups[host]));
            Some((
                Subnet::parse(text)?,
                Net {
                    group,
                    never_learned,
                },
            ))
        });
        let texts = ["*.example.com", "a.example.com", "example.com"];
        let names = texts.iter().zip(names);
        let names =
            names.filter_map(|(text, host)| Some(((*text).to_owned(), Arc::clone(&groups[host?]))));
        Policy {
            name: String::new(),
            mode,
            rule: Rule::Service,
            nets: nets.collect(),
            names: names.collect(),
        }
    })
}

/// The first two keep their numbers whatever ports they have, as the groups of names do.
fn group((index, ports): (usize, &Vec<Option<Check>>)) -> Arc<Group> {
    let rule = Arc::new(Rule::Service);
    let ports = PORTS.zip(ports).filter_map(|(port, check)| {
        let rule = PortRule {
            check: (*check)?,
            rule: Arc::clone(&rule),
        };
        Some((
            PortKey {
                proto: Proto::Tcp,
                port,
            },
            rule,
        ))
    });
    let ports: BTreeMap<_, _> = ports.collect();
    if index == 2 {
        return Arc::new(Group::of_addresses(["plain".to_owned()].into(), ports));
    }
    Arc::new(Group {
        name: Arc::new(GroupName::Name(format!("h{index}.example.com"))),
        ports,
    })
}
