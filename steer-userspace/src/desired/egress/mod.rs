//! Egress: what each pod of this node may reach, and how that is told.
//!
//! ```text
//! outbound     whether the registry is the limit: workload, namespace, mesh, agent
//! sidecars     which Sidecar a workload has, and what of the registry it shows
//! parts        what each host of the registry lets its clients reach
//! policy       parts laid over one another: networks and names that say everything
//! groups       pods for which all of that comes to the same
//! review       what is not enforced, or otherwise than Istio does
//! ```

mod groups;
pub mod model;
pub mod outbound;
mod parts;
mod policy;
mod resolvers;
mod review;
mod sidecars;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{
    groups::{Group, Scope},
    model::{Egress, HOST, Mode, Policy},
    outbound::MeshDefault,
    parts::Part,
    sidecars::Sidecars,
};
use super::{
    model::{PodRef, Rule, Service},
    registry::{Host, Registry, entries::Entry},
    route::World,
};
use crate::{
    finding::Finding,
    source::{Snapshot, subnet::Subnet},
};

pub use outbound::Strictness;

/// Makes policies, and keeps what did not change.
#[derive(Debug, Default)]
pub(super) struct EgressLowering {
    services: BTreeMap<String, CachedService>,
    entries: BTreeMap<(*const Entry, usize), CachedEntry>,
    policies: BTreeMap<String, (Vec<Arc<Part>>, BTreeSet<Subnet>, Arc<Policy>)>,
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug)]
struct CachedService {
    host: Arc<Host>,
    routes: Arc<Service>,
    part: Arc<Part>,
}

#[derive(Debug)]
struct CachedEntry {
    /// Keeps the address taken, by which the entry is known.
    _entry: Arc<Entry>,
    part: Arc<Part>,
}

impl EgressLowering {
    /// What the pods `local` may reach. `services` are those of the registry, routed.
    pub(super) fn lower(
        &mut self,
        world: World<'_>,
        snapshot: &Snapshot,
        services: &[Arc<Service>],
        local: &BTreeSet<PodRef>,
    ) -> Egress {
        let settings = world.settings;
        let mesh = MeshDefault::new(snapshot, settings);
        let sidecars = Sidecars::new(&snapshot.sidecars, &settings.root_namespace);
        let scope = Scope::new(world.registry, snapshot, &sidecars, &mesh);
        let (groups, pods) = scope.groups(local);
        let mut egress = Egress {
            pods,
            resolvers: resolvers::find(world.registry, settings),
            resolve: resolve(world.registry),
            ..Egress::default()
        };
        let guarded = groups.values().any(|group| group.mode != Mode::Open);
        if guarded {
            let routed: BTreeMap<&str, &Arc<Service>> = services
                .iter()
                .map(|found| (found.host.as_str(), found))
                .collect();
            self.update_parts(world.registry, &routed);
            let inside = inside(snapshot, world);
            let mut kept = std::mem::take(&mut self.policies);
            for group in groups.values() {
                let parts = self.parts(world.registry, group, &routed);
                let policy = reuse(kept.remove(&group.name), group, &parts, &inside);
                egress
                    .policies
                    .insert(group.name.clone(), Arc::clone(&policy));
                let made = (parts, inside.clone(), policy);
                self.policies.insert(group.name.clone(), made);
            }
        } else {
            *self = Self::default();
            let open = groups.values().map(|group| {
                let policy = group.policy(BTreeMap::new(), BTreeMap::new());
                (group.name.clone(), Arc::new(policy))
            });
            egress.policies.extend(open);
        }
        egress.policies.insert(HOST.to_owned(), Arc::new(of_host()));
        self.findings = review::findings(world, snapshot, &sidecars, guarded, &egress);
        egress
    }

    /// Makes the parts of hosts that changed.
    fn update_parts(&mut self, registry: &Registry, routed: &BTreeMap<&str, &Arc<Service>>) {
        self.services.retain(|name, cached| {
            registry
                .host(name)
                .is_some_and(|host| Arc::ptr_eq(host, &cached.host))
                && routed
                    .get(name.as_str())
                    .is_some_and(|now| Arc::ptr_eq(now, &cached.routes))
        });
        for (name, host) in &registry.hosts {
            let routes = routed.get(name.as_str());
            let Some(&routes) = routes.filter(|_| host.origin.service().is_some()) else {
                continue;
            };
            if !self.services.contains_key(name) {
                let part = Arc::new(parts::of_service(host, routes, |_| true));
                let cached = CachedService {
                    host: Arc::clone(host),
                    routes: Arc::clone(routes),
                    part,
                };
                self.services.insert(name.clone(), cached);
            }
        }
        let mut kept = std::mem::take(&mut self.entries);
        for entry in &registry.entries {
            let routes = routed.get(entry.host.as_str()).copied();
            let key = (Arc::as_ptr(entry), routes.map_or(0, address));
            let cached = kept.remove(&key).unwrap_or_else(|| CachedEntry {
                _entry: Arc::clone(entry),
                part: Arc::new(parts::of_entry(entry, routes.map(|found| &**found), |_| {
                    true
                })),
            });
            self.entries.insert(key, cached);
        }
    }

    /// The parts that a group of clients sees.
    fn parts(
        &self,
        registry: &Registry,
        group: &Group<'_>,
        routed: &BTreeMap<&str, &Arc<Service>>,
    ) -> Vec<Arc<Part>> {
        let mut parts = Vec::new();
        if group.mode == Mode::Open {
            return parts;
        }
        let by_port = group.sidecar.is_some_and(|sidecar| {
            let mut listeners = sidecar.spec.egress.iter();
            listeners.any(|listener| listener.port.is_some())
        });
        for (name, cached) in &self.services {
            let host = &cached.host;
            if !host.visibility.includes(group.namespace) {
                continue;
            }
            let shown = |port| group.shows((host.namespace(), name), port);
            if by_port {
                parts.push(Arc::new(parts::of_service(host, &cached.routes, shown)));
            } else if shown(0) {
                parts.push(Arc::clone(&cached.part));
            }
        }
        for entry in &registry.entries {
            if !entry.visibility.includes(group.namespace) {
                continue;
            }
            let shown = |port| group.shows((entry.namespace(), &entry.host), port);
            let routes = routed.get(entry.host.as_str()).copied();
            if by_port {
                let routes = routes.map(|found| &**found);
                parts.push(Arc::new(parts::of_entry(entry, routes, shown)));
            } else if shown(0) {
                let key = (Arc::as_ptr(entry), routes.map_or(0, address));
                let cached = self.entries.get(&key);
                parts.extend(cached.map(|cached| Arc::clone(&cached.part)));
            }
        }
        parts
    }
}

fn address(service: &Arc<Service>) -> usize {
    Arc::as_ptr(service).addr()
}

/// The policy that was made from the very same, or a new one.
fn reuse(
    kept: Option<(Vec<Arc<Part>>, BTreeSet<Subnet>, Arc<Policy>)>,
    group: &Group<'_>,
    parts: &[Arc<Part>],
    inside: &BTreeSet<Subnet>,
) -> Arc<Policy> {
    let same = kept.filter(|(old, around, policy)| {
        policy.mode == group.mode
            && policy.rule == group.rule
            && super::change::same(old, parts)
            && around == inside
    });
    if let Some((_, _, policy)) = same {
        return policy;
    }
    if group.mode == Mode::Open {
        return Arc::new(group.policy(BTreeMap::new(), BTreeMap::new()));
    }
    let nets = policy::nets(parts, inside);
    Arc::new(group.policy(nets, policy::names(parts)))
}

/// Processes of this machine, and pods on its network, are not the mesh's.
fn of_host() -> Policy {
    Policy {
        name: HOST.to_owned(),
        mode: Mode::Open,
        rule: Rule::Setting {
            name: "processes of the node are not judged".to_owned(),
        },
        nets: BTreeMap::new(),
        names: BTreeMap::new(),
    }
}

/// Names whose addresses the agent finds.
fn resolve(registry: &Registry) -> BTreeSet<String> {
    let entries = registry.entries.iter();
    entries
        .flat_map(|entry| entry.resolve.iter().cloned())
        .collect()
}

/// Addresses inside the cluster, of this machine and of its link: no name is believed to be there.
fn inside(snapshot: &Snapshot, world: World<'_>) -> BTreeSet<Subnet> {
    const ALWAYS: [&str; 9] = [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::/10",
        "ff00::/8",
    ];
    let mut inside: BTreeSet<Subnet> = ALWAYS
        .iter()
        .filter_map(|text| Subnet::parse(text))
        .collect();
    let settings = world.settings;
    inside.extend(settings.cluster_nets.iter().map(|net| net.network()));
    let pods = snapshot.pods.iter().flat_map(|pod| pod.spec.addresses());
    inside.extend(pods.map(Subnet::of));
    let nodes = snapshot.nodes.iter();
    inside.extend(nodes.flat_map(|node| node.spec.inside()));
    let hosts = world.registry.hosts.values();
    let hosts = hosts.filter(|host| host.origin.service().is_some());
    inside.extend(hosts.flat_map(|host| host.addresses.iter().copied().map(Subnet::of)));
    inside
}

#[cfg(test)]
mod tests;
