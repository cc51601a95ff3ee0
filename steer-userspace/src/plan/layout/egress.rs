//! The rows of the egress guard: names become numbers, and the way from row to row is planned in two
//! stages, so that nobody is refused on the way who is not refused at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steer_common::{
    Addr, Port as Number,
    addr::PodAddrs,
    egress::{
        Check as CheckWord, Grant, HostKey, HostRule, Learned, LearnedKey, Mode as ModeWord,
        NameKey, NameRule, NetKey, NetRule, Policy as PolicyRow, PolicyId, PortRow,
        learned::GRANTS,
        net::NET_NEVER_LEARNED,
        policy::{POLICY_DEFAULT, POLICY_GONE},
    },
    limits,
};

use super::{
    Layout, Stages,
    moves::{self, Move, Moved},
};
use crate::{
    desired::{
        egress::model::{ANYONE, Check, Group, GroupName, Mode, Policy, PortKey, Subnet},
        model::Rule,
    },
    image::{Egress, Image},
    plan::{
        egress::{EgressRows, EgressSettings, EgressStep},
        names::{Lasting, Name, Names},
        step::{PlanError, Step},
    },
};

/// The egress guard as it is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EgressLayout {
    /// What it was made from.
    pub(super) image: Egress,
    rows: EgressRows,
    /// What the maps hold was not made by this layout: the image says nothing about it.
    adopted: bool,
    policies: Lasting<String>,
    hosts: Lasting<GroupName>,
    /// Rules whose numbers the rows use.
    rules: Vec<Arc<Rule>>,
}

impl Default for EgressLayout {
    fn default() -> Self {
        Self {
            image: Egress::default(),
            rows: EgressRows::default(),
            adopted: false,
            policies: Lasting::new(POLICY_DEFAULT + 1),
            hosts: Lasting::new(1),
            rules: Vec::new(),
        }
    }
}

impl EgressLayout {
    /// Takes over what an earlier agent left.
    pub(super) fn adopt(rows: EgressRows, names: &Names) -> Self {
        let mut this = Self {
            adopted: rows != EgressRows::default(),
            ..Self::default()
        };
        for (&number, name) in names.policies.iter().filter(|(number, _)| **number != 0) {
            this.policies.adopt(number, name);
        }
        for (&number, name) in &names.hosts {
            this.hosts.adopt(number, name);
        }
        rows.policies.keys().for_each(|&id| this.policies.pass(id));
        rows.hosts.keys().for_each(|key| this.hosts.pass(key.host));
        this.rows = rows;
        this
    }

    /// The number of a policy.
    pub(super) fn policy(&mut self, name: &str) -> PolicyId {
        if name == ANYONE {
            return POLICY_DEFAULT;
        }
        self.policies.number(&Arc::new(name.to_owned()))
    }

    /// The name of a policy's number, as far as it is known.
    pub(super) fn policy_name(&self, id: PolicyId) -> String {
        if id == POLICY_DEFAULT {
            return ANYONE.to_owned();
        }
        let table = self.policies.table();
        table.get(&id).map_or_else(String::new, ToString::to_string)
    }

    pub(super) fn names(&self) -> (BTreeMap<u32, Arc<String>>, BTreeMap<u32, Arc<GroupName>>) {
        let mut policies = self.policies.table();
        if self.rows.settings.on {
            policies.insert(POLICY_DEFAULT, Arc::new(ANYONE.to_owned()));
        }
        (policies, self.hosts.table())
    }

    /// What the maps hold, or will hold once the last plan is applied.
    pub(super) fn rows(&self) -> &EgressRows {
        &self.rows
    }

    pub(super) fn fresh(&mut self) -> Vec<(u32, Name)> {
        let policies = self.policies.take_fresh().into_iter();
        let hosts = self.hosts.take_fresh().into_iter();
        policies
            .map(|(number, name)| (number, Name::Policy(name)))
            .chain(hosts.map(|(number, name)| (number, Name::Host(name))))
            .collect()
    }
}

/// Hosts that nothing uses are forgotten when there are so many.
const IDLE_HOSTS_MAX: usize = 100_000;

impl Layout {
    /// Whether the rows fit.
    pub(super) fn check_egress(image: &Image) -> Result<(), PlanError> {
        let policies = || image.egress.policies.values();
        let sum = |count: fn(&Policy) -> usize| policies().map(|policy| count(policy)).sum();
        let ports = |policy: &Policy| groups(policy).map(|group| group.ports.len()).sum::<usize>();
        let found = image
            .egress
            .found
            .values()
            .map(BTreeMap::len)
            .sum::<usize>();
        let rows: [(&'static str, usize, u32); 6] = [
            ("POLICIES", policies().count(), limits::POLICIES_MAX),
            (
                "EGRESS_NETS",
                sum(|policy| policy.nets.len() + 1),
                limits::EGRESS_NETS_MAX,
            ),
            (
                "EGRESS_NAMES",
                sum(|policy| policy.names.len()),
                limits::EGRESS_NAMES_MAX,
            ),
            (
                "EGRESS_HOSTS",
                policies().map(|policy| ports(policy)).sum(),
                limits::EGRESS_HOSTS_MAX,
            ),
            (
                "EGRESS_RESOLVED",
                found * policies().count(),
                limits::EGRESS_RESOLVED_MAX,
            ),
            (
                "RESOLVERS",
                image.egress.resolvers.len(),
                limits::RESOLVERS_MAX,
            ),
        ];
        let over = rows
            .into_iter()
            .find(|&(_, needed, capacity)| needed > capacity as usize);
        match over {
            None => Ok(()),
            Some((map, needed, capacity)) => Err(PlanError::Egress {
                map,
                capacity,
                needed: needed as u64,
            }),
        }
    }

    /// Whether any policy audits or enforces.
    pub fn judges(&self) -> bool {
        self.egress.rows.settings.on
    }

    /// Plans the way to what `image` lets be reached.
    pub(super) fn plan_egress(&mut self, image: &Image, moves: Vec<Move>, steps: &mut Stages) {
        let wanted = &image.egress;
        if !self.egress.adopted && self.egress.image == *wanted {
            return;
        }
        let old_rules = std::mem::take(&mut self.egress.rules);
        let mut rows = self.rows_of(wanted);
        if self.egress.adopted && wanted.found.is_empty() && rows.settings.on {
            // An agent that has just started has not asked yet. These end by themselves.
            rows.resolved = self.egress.rows.resolved.clone();
        }
        old_rules
            .iter()
            .for_each(|rule| self.tables.rules.release(rule));
        let live = std::mem::take(&mut self.egress.rows);
        self.egress.rows = if rows.settings.on {
            let moved = move_first(live, &rows, moves, steps);
            let (end, allow, refuse) = lead(moved, rows);
            steps.allow.extend(allow);
            steps.refuse.extend(refuse);
            end
        } else {
            let off = EgressRows {
                settings: rows.settings,
                ..live.clone()
            };
            let (off, first) = advance(&live, off);
            steps.off.extend(first.into_iter().map(Step::Egress));
            let (end, refuse) = advance(&off, rows);
            steps.refuse.extend(refuse.into_iter().map(Step::Egress));
            end
        };
        self.egress.image = wanted.clone();
        self.egress.adopted = false;
        if self.egress.hosts.len() > IDLE_HOSTS_MAX {
            let rows = &self.egress.rows.hosts;
            let used: BTreeSet<u32> = rows.keys().map(|key| key.host).collect();
            self.egress.hosts.keep(|number| used.contains(&number));
        }
    }

    fn rows_of(&mut self, wanted: &Egress) -> EgressRows {
        let mut rows = EgressRows {
            settings: EgressSettings {
                on: wanted.is_on(),
                errno: wanted.limits.errno,
                ttl_min_secs: wanted.limits.ttl_min_secs,
                ttl_max_secs: wanted.limits.ttl_max_secs,
                ..EgressSettings::default()
            },
            ..EgressRows::default()
        };
        rows.resolvers = wanted
            .resolvers
            .iter()
            .map(|&one| Addr::from(one))
            .collect();
        for (name, policy) in &wanted.policies {
            let id = self.egress.policy(name);
            self.policy_rows(id, policy, wanted, &mut rows);
        }
        for (&index, port) in &wanted.ports {
            let row = PortRow {
                client: port.cookie,
                policy: self.egress.policy(&port.policy),
                // Its network namespace is in SOURCES, which holds the name.
                workload: self.tables.workloads.known(&port.pod),
                addrs: PodAddrs::new(port.addresses.iter().copied().map(Into::into)),
                bridge: port.bridge,
                pad: 0,
            };
            rows.ports.insert(index, row);
        }
        rows
    }

    fn policy_rows(
        &mut self,
        id: PolicyId,
        policy: &Policy,
        wanted: &Egress,
        rows: &mut EgressRows,
    ) {
        let rule = self.rule(&Arc::new(policy.rule.clone()));
        let row = PolicyRow {
            rule,
            ..PolicyRow::new(mode(policy.mode), 0)
        };
        rows.policies.insert(id, row);
        let mut numbers: BTreeMap<*const Group, u32> = BTreeMap::new();
        for group in groups(policy) {
            let host = self.egress.hosts.number(&group.name);
            numbers.insert(group, host);
            for (key, allowed) in &group.ports {
                let key = host_key(id, host, *key);
                let rule = self.rule(&allowed.rule);
                let check = check(allowed.check);
                rows.hosts.insert(key, HostRule::new(key, check, rule));
            }
        }
        let number = |group: &Arc<Group>| numbers.get(&Arc::as_ptr(group)).copied();
        for (net, found) in &policy.nets {
            let (key, bits) = net_key(id, *net);
            let host = found.group.as_ref().and_then(number).unwrap_or_default();
            let flags = if found.never_learned {
                NET_NEVER_LEARNED
            } else {
                0
            };
            rows.nets.insert((key, bits), NetRule { host, flags });
        }
        mapped(id, policy, rows);
        for (name, group) in &policy.names {
            let host = number(group).unwrap_or_default();
            if let Some((bits, key)) = NameKey::new(id, name) {
                rows.names.insert((key, bits), NameRule { host, flags: 0 });
            }
            for (&address, &until) in wanted.found.get(name).into_iter().flatten() {
                let addr = Addr::from(address);
                let net = Subnet::of(address);
                let never = policy
                    .nets
                    .iter()
                    .any(|(wide, row)| row.never_learned && wide.covers(net));
                if !never {
                    grant(
                        rows,
                        LearnedKey { policy: id, addr },
                        Grant::new(host, until),
                    );
                }
            }
        }
    }

    fn rule(&mut self, rule: &Arc<Rule>) -> u32 {
        let number = self.tables.rules.hold(rule);
        self.egress.rules.push(Arc::clone(rule));
        number
    }
}

/// The groups of a policy, each once.
fn groups(policy: &Policy) -> impl Iterator<Item = &Group> {
    let nets = policy.nets.values().filter_map(|net| net.group.as_ref());
    let all: BTreeMap<*const Group, &Arc<Group>> = nets
        .chain(policy.names.values())
        .map(|group| (Arc::as_ptr(group), group))
        .collect();
    // By name: numbers must not depend on where groups are in memory.
    let mut sorted: Vec<&Group> = all.into_values().map(|group| &**group).collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted.into_iter()
}

fn host_key(policy: PolicyId, host: u32, key: PortKey) -> HostKey {
    HostKey::new(policy, host, Number::new(key.port), key.proto as u8)
}

fn net_key(policy: PolicyId, net: Subnet) -> (NetKey, u32) {
    let addr = Addr::from(net.network().address());
    (NetKey { policy, addr }, NetKey::prefix(addr, net.bits()))
}

/// IPv4 is a part of IPv6's numbers here, but no network of IPv6 means it.
fn mapped(policy: PolicyId, content: &Policy, rows: &mut EgressRows) {
    let first = Subnet::of(std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into());
    let wide = |net: &Subnet| net.bits() <= 96 && net.covers(first);
    if content.nets.keys().any(wide) {
        let all = Subnet::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        rows.nets.entry(net_key(policy, all)).or_default();
    }
}

/// Adds a grant; one too many is left out, the address stands for as many hosts as fit.
fn grant(rows: &mut EgressRows, key: LearnedKey, grant: Grant) {
    let row = rows.resolved.entry(key).or_insert_with(|| Learned {
        key,
        pad: 0,
        grants: [Grant::default(); GRANTS],
    });
    if let Some(free) = row.grants.iter_mut().find(|found| found.host() == 0) {
        *free = grant;
    }
}

fn mode(mode: Mode) -> ModeWord {
    match mode {
        Mode::Open => ModeWord::Open,
        Mode::Audit => ModeWord::Audit,
        Mode::Enforce => ModeWord::Enforce,
    }
}

fn check(check: Check) -> CheckWord {
    match check {
        Check::Address => CheckWord::Address,
        Check::Sni => CheckWord::Sni,
        Check::Host => CheckWord::Host,
    }
}

/// Moves pods to policies that are as wanted, as far as there are such; says what the maps hold then.
fn move_first(
    mut live: EgressRows,
    wanted: &EgressRows,
    mut moves: Vec<Move>,
    steps: &mut Stages,
) -> EgressRows {
    if !live.settings.on {
        return live;
    }
    moves.extend(moves::of_ports(&live, wanted));
    while let Some(wave) = moves::next_wave(&mut moves) {
        let ready: BTreeSet<PolicyId> = wave.iter().map(|one| one.to).collect();
        let goal = live.with_policies(wanted, &ready);
        let (mut goal, allow, refuse) = lead(live, goal);
        steps.moves.extend(allow.into_iter().chain(refuse));
        let sources: Vec<Step> = wave.iter().filter_map(Move::step).collect();
        // Whose class stays has moved by that.
        steps.sources.retain(|step| !sources.contains(step));
        steps.moves.extend(sources);
        live = goal.clone();
        for one in wave {
            if let Moved::Port(index) = one.what
                && let Some(row) = wanted.ports.get(&index)
            {
                goal.ports.insert(index, *row);
            }
        }
        let (moved, ports) = advance(&live, goal);
        steps.moves.extend(ports.into_iter().map(Step::Egress));
        live = moved;
    }
    live
}

/// The way to `rows`, on which nobody reaches what neither end allows; what the maps hold then. First the
/// steps that allow, then those that refuse.
fn lead(live: EgressRows, rows: EgressRows) -> (EgressRows, Vec<Step>, Vec<Step>) {
    if !live.settings.on {
        // Nobody is judged until the last of these steps.
        let unjudged = EgressRows {
            settings: live.settings,
            ..rows.clone()
        };
        let (ready, allow) = advance(&live, unjudged);
        let (end, last) = advance(&ready, rows);
        let steps = |steps: Vec<EgressStep>| steps.into_iter().map(Step::Egress).collect();
        return (end, steps(allow), steps(last));
    }
    let (live, mut allow) = advance(&live, live.eased(&rows));
    let (live, closes) = advance(&live, live.closed(&rows));
    allow.extend(closes);
    let first = live.without_risky_losses(&rows);
    let mut both = together(&first, &rows);
    let mut less = rows.clone();
    for key in first.risky_gains(&rows) {
        both.restore_host(&key, &first);
        less.restore_host(&key, &first);
    }
    // What a policy begins to refuse it refuses when all that it allows is there.
    both.keep_lenient(&first);
    less.keep_lenient(&first);
    let (taken, losses) = advance(&live, first);
    let (between, more) = advance(&taken, both);
    allow.extend(losses.into_iter().chain(more));
    let (before, refuse) = advance(&between, less);
    let (end, gain) = advance(&before, rows);
    let last = refuse.into_iter().chain(gain).map(Step::Egress);
    (
        end,
        allow.into_iter().map(Step::Egress).collect(),
        last.collect(),
    )
}

/// What both let be reached. Settings stay: the guard is switched on last of all.
fn together(live: &EgressRows, wanted: &EgressRows) -> EgressRows {
    let mut both = live.clone();
    let new = wanted.clone();
    both.policies.extend(new.policies);
    both.nets.extend(new.nets);
    both.hosts.extend(new.hosts);
    both.names.extend(new.names);
    both.resolved.extend(new.resolved);
    both.resolvers.extend(new.resolvers);
    both.ports.extend(new.ports);
    both
}

/// The steps to `wanted`, and what the maps hold then: generations are made on the way.
fn advance(live: &EgressRows, mut wanted: EgressRows) -> (EgressRows, Vec<EgressStep>) {
    let steps = live.steps(&wanted);
    for (id, row) in &mut wanted.policies {
        row.generation = live.policies.get(id).map_or(0, |live| live.generation);
    }
    let gone = live.policies.iter();
    let gone =
        gone.filter(|(id, row)| row.standing == POLICY_GONE && !wanted.policies.contains_key(id));
    let gone: Vec<_> = gone.map(|(&id, &row)| (id, row)).collect();
    wanted.policies.extend(gone);
    for step in &steps {
        if let EgressStep::Policy(id, row) = step {
            wanted.policies.insert(*id, *row);
        }
    }
    (wanted, steps)
}

#[cfg(test)]
mod tests;
