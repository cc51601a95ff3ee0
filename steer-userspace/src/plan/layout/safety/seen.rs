//! What clients see of the maps: the way of each service for each class, what each policy lets
//! through, and who is in which class and policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use steer_common::{
    Addr, Port,
    addr::Peer,
    egress::{
        Check, HostKey, HostRule, Learned, LearnedKey, Mode, NetKey, NetRule, Policy, PolicyId,
    },
    logic::egress::{EgressMaps, Judgement, Wish, judge},
    service::{ROUTE_HIDDEN, ROUTE_VARIES, RowId, ServiceKey},
};

use super::{draw, store::Store};
use crate::{
    image::{Image, Route},
    live::Live,
};

/// Where one tries to go: an address and a port.
pub(super) type Probe = (IpAddr, u16);

/// Weights and endpoints of a service; none if it is left as dialled.
type Way = Option<Vec<(u32, Vec<SocketAddr>)>>;

/// How far something is let through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Pass {
    Refused,
    /// If its first bytes say an allowed name.
    Looked,
    Open,
}

/// One moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seen {
    /// By class and service.
    ways: BTreeMap<(u32, u8), Way>,
    /// By policy and probe; everything is open while the guard is off.
    passes: BTreeMap<(PolicyId, Probe), Pass>,
    guarded: bool,
    /// Class and policy of each network namespace.
    clients: BTreeMap<u64, (u32, PolicyId)>,
    /// Policy of each interface.
    ports: BTreeMap<u32, PolicyId>,
    /// What each host has: rows of ports, and networks.
    hosts: BTreeMap<(PolicyId, u32), Vec<String>>,
    /// The host that decides about a probe.
    decides: BTreeMap<(PolicyId, Probe), u32>,
}

impl Seen {
    pub(super) fn of(store: &Store) -> Self {
        let live = &store.live;
        let classes = 0..draw::CLASSES;
        let ways = classes.flat_map(|class| {
            draw::SERVICES.map(|service| ((class, service), way(live, class, service)))
        });
        let clients = live.sources.iter().map(|(&cookie, row)| {
            let class = row.class.of(cookie).unwrap();
            (cookie, (class, row.policy.of(cookie).unwrap()))
        });
        let mut seen = Self {
            ways: ways.collect(),
            passes: BTreeMap::new(),
            guarded: live.egress.settings.on,
            clients: clients.collect(),
            ports: live
                .egress
                .ports
                .iter()
                .map(|(&index, row)| (index, row.policy))
                .collect(),
            hosts: hosts(live),
            decides: BTreeMap::new(),
        };
        for policy in draw::POLICIES {
            for probe in draw::probes() {
                let (pass, host) = pass(live, policy, probe);
                seen.passes.insert((policy, probe), pass);
                seen.decides.insert((policy, probe), host);
            }
        }
        seen
    }

    /// What policies let through, while they are asked.
    pub(super) fn open(&self) -> impl Iterator<Item = (PolicyId, Probe)> {
        let guarded = self.guarded;
        let passes = self.passes.iter();
        let open = passes.filter(move |(_, pass)| guarded && **pass != Pass::Refused);
        open.map(|(&asked, _)| asked)
    }

    /// The maps say what the image says.
    pub(super) fn assert_is(&self, image: &Image) {
        for (&(class, service), way) in &self.ways {
            assert_eq!(
                *way,
                wanted_way(image, class, service),
                "class {class}, {service}"
            );
        }
        let classes = |(&cookie, &(class, _)): (&u64, &(u32, PolicyId))| (cookie, class);
        let wanted = image
            .sources
            .iter()
            .map(|(&cookie, source)| (cookie, source.class));
        assert!(self.clients.iter().map(classes).eq(wanted));
        assert_eq!(self.guarded, image.egress.is_on());
        assert!(self.ports.keys().eq(image.egress.ports.keys()));
    }

    /// Everything is as it was in `before` or as it is in `after`.
    pub(super) fn assert_between(&self, before: &Self, after: &Self, when: &str) {
        for (asked, way) in &self.ways {
            let ends = [&before.ways[asked], &after.ways[asked]];
            assert!(
                ends.contains(&way),
                "{when}: {asked:?} is {way:?}, of {ends:?}"
            );
        }
        for (cookie, at) in &self.clients {
            let ends = [before.clients.get(cookie), after.clients.get(cookie)];
            assert!(
                ends.contains(&Some(at)),
                "{when}: client {cookie} is {at:?}"
            );
        }
        let judged = |of: &Self| {
            of.clients
                .values()
                .map(|(_, policy)| *policy)
                .collect::<Vec<_>>()
        };
        let led: BTreeSet<PolicyId> = judged(self)
            .into_iter()
            .chain(self.ports.values().copied())
            .chain([0])
            .collect();
        for policy in led {
            for probe in draw::probes() {
                self.assert_pass(before, after, (policy, probe), when);
            }
        }
    }

    fn assert_pass(&self, before: &Self, after: &Self, asked: (PolicyId, Probe), when: &str) {
        let ends = [before.effective(asked), after.effective(asked)];
        let now = self.effective(asked);
        let most = ends.into_iter().max().unwrap();
        assert!(now <= most, "{when}: {asked:?} is {now:?}, of {ends:?}");
        let least = ends.into_iter().min().unwrap();
        // Between refusing for a moment and being open for a moment, the guard refuses.
        let changes = |seen: &Self| {
            let host = (asked.0, seen.decides[&asked]);
            before.hosts.get(&host) != after.hosts.get(&host) && before.hosts.contains_key(&host)
        };
        let waits = changes(before) || changes(after);
        assert!(
            now >= least || waits,
            "{when}: {asked:?} is {now:?}, of {ends:?}"
        );
    }

    fn effective(&self, asked: (PolicyId, Probe)) -> Pass {
        if self.guarded {
            self.passes[&asked]
        } else {
            Pass::Open
        }
    }
}

fn hosts(live: &Live) -> BTreeMap<(PolicyId, u32), Vec<String>> {
    let mut hosts: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (key, rule) in &live.egress.hosts {
        let row = format!("{:?} {:?}", key.port, rule.check());
        hosts.entry((key.policy, key.host)).or_default().push(row);
    }
    for ((key, bits), rule) in &live.egress.nets {
        let row = format!("{} {bits}", key.addr);
        hosts.entry((key.policy, rule.host)).or_default().push(row);
    }
    hosts
}

fn way(live: &Live, class: u32, service: u8) -> Way {
    let row = |class| live.services.get(&draw::key(service, class));
    let anyone = row(0)?;
    let varies = live.routes[anyone].has(ROUTE_VARIES);
    let found = if varies && class != 0 {
        row(class).unwrap_or(anyone)
    } else {
        anyone
    };
    row_way(live, *found, &draw::key(service, 0))
}

fn row_way(live: &Live, row: RowId, dialled: &ServiceKey) -> Way {
    let route = &live.routes[&row];
    assert_eq!(route.key.addr, dialled.addr);
    if route.has(ROUTE_HIDDEN) {
        return None;
    }
    let endpoints = |first: u32, count: u32| {
        (first..first + count).map(|index| live.endpoints[&index].peer().to_socket_addr())
    };
    let destinations = route.destinations().iter();
    Some(
        destinations
            .map(|found| (found.weight, endpoints(found.first, found.count).collect()))
            .collect(),
    )
}

fn wanted_way(image: &Image, class: u32, service: u8) -> Way {
    let route = |class| image.routes.get(&draw::key(service, class));
    let anyone = route(0)?;
    let found: &Route = route(class).unwrap_or(anyone);
    if found.hidden {
        return None;
    }
    let weights: Vec<u32> = found
        .destinations
        .iter()
        .map(|one| one.name.weight)
        .collect();
    let scaled = steer_common::weights::scale(&weights).unwrap();
    let single = weights.len() == 1;
    let destinations = found.destinations.iter();
    Some(
        destinations
            .map(|one| {
                let weight = if single {
                    1
                } else {
                    one.name.weight / scaled.divisor
                };
                let endpoints = one.endpoints.iter();
                (
                    weight,
                    endpoints.map(|at| (at.ip, at.port).into()).collect(),
                )
            })
            .collect(),
    )
}

/// How far a probe is let through, and the host of the network that it is in.
fn pass(live: &Live, policy: PolicyId, (ip, port): Probe) -> (Pass, u32) {
    let asked = Asked(live);
    let peer = Peer::new(ip.into(), Port::new(port));
    let wish = Wish {
        policy,
        peer,
        proto: 6,
    };
    let net = NetKey {
        policy,
        addr: peer.addr,
    };
    let host = asked.net(&net).map_or(0, |rule| rule.host);
    let pass = match judge(&asked, &wish) {
        Judgement::Refuse(_) => Pass::Refused,
        Judgement::Audit(_) => Pass::Open,
        Judgement::Allow(grounds) => match grounds.check {
            Check::Address => Pass::Open,
            _ => Pass::Looked,
        },
    };
    // An audit looks at first bytes only to tell.
    let audits = live
        .egress
        .policies
        .get(&policy)
        .is_some_and(|row| row.mode() == Mode::Audit);
    (if audits { Pass::Open } else { pass }, host)
}

/// The maps, asked as the kernel asks them; of few networks the narrowest is found by looking at all.
struct Asked<'a>(&'a Live);

impl EgressMaps for Asked<'_> {
    fn policy(&self, policy: PolicyId) -> Option<&Policy> {
        // A row that nobody has written refuses what its networks do not allow.
        static UNWRITTEN: Policy = Policy::new(Mode::Enforce, 0);
        Some(self.0.egress.policies.get(&policy).unwrap_or(&UNWRITTEN))
    }

    fn net(&self, key: &NetKey) -> Option<NetRule> {
        let around = self.0.egress.nets.iter().filter(|((net, bits), _)| {
            let bits = bits + 128 - NetKey::ADDRESS_BITS;
            net.policy == key.policy && net.addr == key.addr.masked(bits)
        });
        let narrowest = around.max_by_key(|((_, bits), _)| *bits);
        narrowest.map(|(_, rule)| *rule)
    }

    fn host(&self, key: &HostKey) -> Option<&HostRule> {
        self.0.egress.hosts.get(key)
    }

    fn resolved(&self, key: &LearnedKey) -> Option<&Learned> {
        self.0.egress.resolved.get(key)
    }

    fn learned(&self, key: &LearnedKey) -> Option<&Learned> {
        self.0.learned.get(key)
    }

    fn is_resolver(&self, addr: &Addr) -> bool {
        self.0.egress.resolvers.contains(addr)
    }

    fn now_secs(&self) -> u32 {
        1
    }
}
