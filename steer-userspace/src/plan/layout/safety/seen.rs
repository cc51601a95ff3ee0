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
        net::NET_NEVER_LEARNED,
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

/// Who has a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Holder {
    Client(u64),
    Port(u32),
}

/// One moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seen {
    /// By class and service.
    ways: BTreeMap<(u32, u8), Way>,
    /// By policy and probe; everything is open while the guard is off.
    passes: BTreeMap<(PolicyId, Probe), Pass>,
    /// The same without addresses of names, which end by themselves.
    lasting: BTreeMap<(PolicyId, Probe), Pass>,
    guarded: bool,
    /// Class and policy of each network namespace.
    clients: BTreeMap<u64, (u32, PolicyId)>,
    /// Policy of each interface.
    ports: BTreeMap<u32, PolicyId>,
    /// What each host has: rows of ports, and networks.
    hosts: BTreeMap<(PolicyId, u32), Vec<String>>,
    /// What its network, the addresses that the agent found, or those of answers let through: the first
    /// of them that says something decides.
    either: BTreeMap<(PolicyId, Probe), Pass>,
    /// The hosts that decide about a probe.
    decides: BTreeMap<(PolicyId, Probe), BTreeSet<u32>>,
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
            lasting: BTreeMap::new(),
            either: BTreeMap::new(),
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
        let mut nameless = live.clone();
        nameless.learned.clear();
        nameless.egress.resolved.clear();
        let mut netless = live.clone();
        netless
            .egress
            .nets
            .retain(|_, rule| rule.has(NET_NEVER_LEARNED));
        let unresolved = |live: &Live| {
            let mut live = live.clone();
            live.egress.resolved.clear();
            live
        };
        let others = [unresolved(live), unresolved(&netless), netless];
        for policy in draw::POLICIES {
            for probe in draw::probes() {
                let (pass, hosts) = pass(live, policy, probe);
                seen.passes.insert((policy, probe), pass);
                let (lasting, _) = self::pass(&nameless, policy, probe);
                seen.lasting.insert((policy, probe), lasting);
                let said = others.iter().map(|live| self::pass(live, policy, probe).0);
                let most = said.max().map_or(pass, |most| most.max(pass));
                seen.either.insert((policy, probe), most);
                seen.decides.insert((policy, probe), hosts);
            }
        }
        seen
    }

    /// What policies let through, while they are asked.
    pub(super) fn open(&self) -> impl Iterator<Item = (PolicyId, Probe)> {
        self.let_through(&self.passes)
    }

    /// The same without addresses of names: who was let through by one goes on when it ends.
    pub(super) fn open_for_good(&self) -> impl Iterator<Item = (PolicyId, Probe)> {
        self.let_through(&self.lasting)
    }

    fn let_through<'a>(
        &self,
        passes: &'a BTreeMap<(PolicyId, Probe), Pass>,
    ) -> impl Iterator<Item = (PolicyId, Probe)> + use<'a> {
        let guarded = self.guarded;
        let open = passes
            .iter()
            .filter(move |(_, pass)| guarded && **pass != Pass::Refused);
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
        for (cookie, &(class, policy)) in &self.clients {
            // Who is not known is of class 0, and of the default policy.
            let of = |seen: &Self| seen.clients.get(cookie).copied().unwrap_or_default();
            let (old, new) = (of(before), of(after));
            assert!(
                [old.0, new.0].contains(&class) && [old.1, new.1].contains(&policy),
                "{when}: client {cookie} is of class {class} and policy {policy}: {old:?}, {new:?}"
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
        self.assert_moved(before, after, when);
    }

    /// Whoever changes its policy reaches nothing that neither the old one let through before nor the
    /// new one will: unless policies exchange pods in a circle.
    fn assert_moved(&self, before: &Self, after: &Self, when: &str) {
        let (old, now, new) = (before.holders(), self.holders(), after.holders());
        let policy = |of: &BTreeMap<Holder, PolicyId>, holder| of.get(holder).copied().unwrap_or(0);
        let ways: BTreeMap<&Holder, (PolicyId, PolicyId)> = new
            .iter()
            .map(|(holder, &to)| (holder, (policy(&old, holder), to)))
            .filter(|(_, (from, to))| from != to)
            .collect();
        let circles = circles(ways.values().copied().collect());
        for (holder, way) in ways {
            if circles.contains(&way) {
                continue;
            }
            let at = policy(&now, holder);
            for probe in draw::probes() {
                let ends = [
                    before.effective((way.0, probe)),
                    after.effective((way.1, probe)),
                ];
                let pass = self.effective((at, probe));
                let most = before.most((way.0, probe)).max(after.most((way.1, probe)));
                assert!(
                    pass <= most,
                    "{when}: {holder:?} on {way:?}, now {at}, {probe:?} is {pass:?}, of {ends:?}"
                );
            }
        }
    }

    /// Everything that has a policy, with it.
    fn holders(&self) -> BTreeMap<Holder, PolicyId> {
        let clients = self.clients.iter();
        let clients = clients.map(|(&cookie, &(_, policy))| (Holder::Client(cookie), policy));
        let ports = self.ports.iter();
        clients
            .chain(ports.map(|(&index, &policy)| (Holder::Port(index), policy)))
            .collect()
    }

    fn assert_pass(&self, before: &Self, after: &Self, asked: (PolicyId, Probe), when: &str) {
        let ends = [before.effective(asked), after.effective(asked)];
        let now = self.effective(asked);
        let most = before.most(asked).max(after.most(asked));
        assert!(now <= most, "{when}: {asked:?} is {now:?}, of {ends:?}");
        let least = ends.into_iter().min().unwrap();
        // Between refusing for a moment and being open for a moment, the guard refuses.
        let changes = |seen: &Self| {
            seen.decides[&asked].iter().any(|&host| {
                let host = (asked.0, host);
                before.hosts.get(&host) != after.hosts.get(&host)
                    && before.hosts.contains_key(&host)
            })
        };
        let waits = changes(before) || changes(after);
        assert!(
            now >= least || waits,
            "{when}: {asked:?} is {now:?}, of {ends:?}"
        );
    }

    fn most(&self, asked: (PolicyId, Probe)) -> Pass {
        if self.guarded {
            self.either[&asked]
        } else {
            Pass::Open
        }
    }

    fn effective(&self, asked: (PolicyId, Probe)) -> Pass {
        if self.guarded {
            self.passes[&asked]
        } else {
            Pass::Open
        }
    }
}

/// Of ways from policy to policy, those that cannot be gone one after another so that nobody comes to a
/// policy that somebody has yet to leave.
fn circles(mut ways: BTreeSet<(PolicyId, PolicyId)>) -> BTreeSet<(PolicyId, PolicyId)> {
    loop {
        let left: BTreeSet<PolicyId> = ways.iter().map(|(from, _)| *from).collect();
        let count = ways.len();
        ways.retain(|(_, to)| left.contains(to));
        if ways.len() == count {
            return ways;
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
    for ((key, bits), rule) in &live.egress.names {
        let policy = PolicyId::from(u16::from_le_bytes(key.policy));
        let row = format!("{key:?} {bits}");
        hosts.entry((policy, rule.host)).or_default().push(row);
    }
    for (key, row) in &live.egress.resolved {
        for grant in row.grants.iter().filter(|grant| grant.host() != 0) {
            let own = hosts.entry((key.policy, grant.host())).or_default();
            own.push(key.addr.to_string());
        }
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

/// How far a probe is let through, and the hosts that decide: of the network that it is in, and of its
/// names.
fn pass(live: &Live, policy: PolicyId, (ip, port): Probe) -> (Pass, BTreeSet<u32>) {
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
    let mut hosts = BTreeSet::from([asked.net(&net).map_or(0, |rule| rule.host)]);
    let named = LearnedKey {
        policy,
        addr: peer.addr,
    };
    for row in [asked.resolved(&named), asked.learned(&named)]
        .into_iter()
        .flatten()
    {
        let grants = row.grants.iter().map(|grant| grant.host());
        hosts.extend(grants.filter(|host| *host != 0));
    }
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
    (if audits { Pass::Open } else { pass }, hosts)
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
