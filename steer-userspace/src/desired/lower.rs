//! Snapshot -> desired.
//!
//! A service is made anew only if something changed that was looked at when it was made: a change
//! of one rule in a cluster of ten thousand services costs one service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use steer_common::service::{CLASS_ANYONE, ClassId};

use super::{
    access_logs,
    change::{Changes, Difference, same},
    class::{self, Signature},
    client::{Asked, Client, Labels},
    dependents::Dependents,
    destination_rules::DestinationRules,
    egress::EgressLowering,
    endpoints::usable,
    gateway, host,
    model::{Cluster, Desired, PodRef, Port, Rule, Service, View},
    registry::{Host, HostPort, Registry, entries::Resolved},
    review::Review,
    route::{self, World},
    settings::Settings,
    virtual_services::VirtualServices,
};
use crate::{
    finding::Finding,
    source::{
        Object, Snapshot,
        istio::{DestinationRule, VirtualService},
    },
};

/// What a configuration means, for a node on which the pods `local` run.
pub fn lower(snapshot: &Snapshot, settings: &Settings, local: &BTreeSet<PodRef>) -> Desired {
    Lowering::new(settings.clone()).lower(snapshot, local)
}

/// Lowers one snapshot after another and keeps what did not change.
#[derive(Debug, Default)]
pub struct Lowering {
    settings: Settings,
    registry: Registry,
    resolved: Arc<Resolved>,
    virtual_services: VirtualServices,
    destination_rules: DestinationRules,
    written: Written,
    signatures: BTreeMap<Signature, Vec<PodRef>>,
    made: BTreeMap<String, Made>,
    /// Which of them looked at what.
    dependents: Dependents<String>,
    /// Those that any client might see otherwise than class 0.
    varying: BTreeSet<String>,
    /// Those about which something was found.
    told: BTreeSet<String>,
    /// Services as several classes see them, kept so that the same stays the same object.
    classed: BTreeMap<String, Arc<Service>>,
    review: Review,
    egress: EgressLowering,
}

/// The rules of the last snapshot.
#[derive(Debug, Default)]
struct Written {
    virtual_services: Vec<Arc<Object<VirtualService>>>,
    destination_rules: Vec<Arc<Object<DestinationRule>>>,
}

/// A service, and what it was made from.
#[derive(Clone, Debug)]
struct Made {
    /// As class 0 sees it.
    service: Arc<Service>,
    consulted: BTreeSet<String>,
    findings: Vec<Finding>,
    /// By signature, if any client might see something else than class 0.
    varying: Option<BTreeMap<Signature, Own>>,
}

/// What clients of a signature see.
#[derive(Clone, Debug, Default)]
struct Own {
    /// By port, where it differs from what class 0 sees.
    views: BTreeMap<usize, View>,
    asked: Asked,
}

impl Lowering {
    /// Nothing was lowered yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// What the agent found for the names that `Desired::resolve` lists, from now on.
    pub fn resolved(&mut self, resolved: Arc<Resolved>) {
        self.resolved = resolved;
    }

    /// What `snapshot` means.
    pub fn lower(&mut self, snapshot: &Snapshot, local: &BTreeSet<PodRef>) -> Desired {
        let resolved = Arc::clone(&self.resolved);
        let domain = &self.settings.domain;
        let names = self.registry.update(snapshot, &resolved, domain);
        let mut changes = Changes::new(names);
        self.update_rules(snapshot, &mut changes);
        let signatures = class::signatures(snapshot, self.world(), local);
        let same_signatures = signatures.keys().eq(self.signatures.keys());
        self.signatures = signatures;
        self.remake(&changes, same_signatures);
        let mut review = std::mem::take(&mut self.review);
        review.update(self.world(), snapshot, &changes);
        let mut desired = self.desired();
        let mut egress = std::mem::take(&mut self.egress);
        desired.egress = egress.lower(self.world(), snapshot, &desired.services, local);
        self.egress = egress;
        let (listeners, mut told) = gateway::lower(self.world(), snapshot);
        desired.listeners = listeners;
        let (logs, of_logs) =
            access_logs::lower(snapshot, &self.settings, local, &desired.listeners);
        desired.access_logs = logs;
        told.extend(self.findings(&review, of_logs));
        told.retain(|finding| !gateway::contradicts(&desired.listeners, finding));
        told.sort();
        told.dedup();
        desired.findings = told;
        self.review = review;
        desired
    }

    fn world(&self) -> World<'_> {
        World {
            registry: &self.registry,
            virtual_services: &self.virtual_services,
            destination_rules: &self.destination_rules,
            settings: &self.settings,
        }
    }

    /// Takes over the rules and notes the hosts they are about.
    fn update_rules(&mut self, snapshot: &Snapshot, changes: &mut Changes) {
        let domain = self.settings.domain.as_str();
        let (old, new) = (&self.written.virtual_services, &snapshot.virtual_services);
        if !same(old, new) {
            for found in Difference::new(old, new, |found| found.age_key()).all() {
                let namespace = &found.meta.namespace;
                if found.spec.hosts.is_empty() {
                    // A delegate: whom it concerns its own text does not say.
                    changes.add("*".to_owned());
                }
                for name in &found.spec.hosts {
                    changes.add(host::full_name(name, namespace, domain));
                }
            }
            self.virtual_services.update(old, new, domain);
            self.written.virtual_services.clone_from(new);
        }
        let (old, new) = (&self.written.destination_rules, &snapshot.destination_rules);
        if !same(old, new) {
            for found in Difference::new(old, new, |found| found.age_key()).all() {
                let namespace = &found.meta.namespace;
                changes.add(host::full_name(&found.spec.host, namespace, domain));
            }
            self.destination_rules =
                DestinationRules::new(new, domain, &self.settings.root_namespace);
            self.written.destination_rules.clone_from(new);
        }
    }

    /// Makes the services that looked at something that changed.
    fn remake(&mut self, changes: &Changes, same_signatures: bool) {
        let mut stale = self.dependents.concerned(changes);
        if !same_signatures {
            stale.extend(self.varying.iter().cloned());
        }
        // Services that are new are among the names that changed; nothing looked at them yet.
        stale.extend(changes.names.iter().cloned());
        for name in stale {
            self.forget(&name);
            let Some(host) = self.registry.hosts.get(&name) else {
                continue;
            };
            let made = self.make(host);
            self.dependents.add(&name, &made.consulted);
            if made.varying.is_some() {
                self.varying.insert(name.clone());
            }
            if !made.findings.is_empty() {
                self.told.insert(name.clone());
            }
            self.made.insert(name, made);
        }
    }

    fn forget(&mut self, name: &String) {
        if let Some(old) = self.made.remove(name) {
            self.dependents.remove(name, &old.consulted);
            self.varying.remove(name);
            self.told.remove(name);
        }
    }

    fn make(&self, host: &Host) -> Made {
        let anyone = Client::unknown();
        let mut consulted = BTreeSet::from([host.name.clone()]);
        let mut findings = Vec::new();
        let mut varying = Vec::new();
        let mut ports = Vec::with_capacity(host.ports.len());
        for (index, port) in host.ports.iter().enumerate() {
            let made = route::make(self.world(), host, port, &anyone);
            if anyone.take_asked().anything {
                varying.push(index);
            }
            consulted.extend(made.consulted);
            findings.extend(made.findings);
            ports.push(seen_by_anyone(port, made.view));
        }
        let varying = (!varying.is_empty()).then(|| {
            let mut all = BTreeMap::new();
            for signature in self.signatures.keys() {
                let client = signature.client();
                let mut own = Own::default();
                for &index in &varying {
                    let made = route::make(self.world(), host, &host.ports[index], &client);
                    consulted.extend(made.consulted);
                    findings.extend(made.findings);
                    if !class::same_effect(&made.view, &ports[index].views[&CLASS_ANYONE]) {
                        own.views.insert(index, made.view);
                    }
                }
                own.asked = client.take_asked();
                all.insert(signature.clone(), own);
            }
            all
        });
        let own = varying
            .iter()
            .flatten()
            .flat_map(|(_, own)| own.views.values());
        let mut views = ports.iter().flat_map(|port| port.views.values()).chain(own);
        let is_routed = views.any(is_routed);
        let service = Arc::new(Service {
            namespace: host.namespace().to_owned(),
            name: service_name(host),
            host: host.name.clone(),
            addresses: host.addresses.clone(),
            ports,
            clusters: self.clusters(host, is_routed),
        });
        Made {
            service,
            consulted,
            findings,
            varying,
        }
    }

    /// What a client of the service's own namespace may be led to, if a DestinationRule says so; the
    /// service itself, if a VirtualService may lead away from it.
    fn clusters(&self, host: &Host, is_routed: bool) -> Vec<Cluster> {
        let labels = Labels::new();
        let client = Client::new(Some(host.namespace()), &labels);
        let rules = &self.destination_rules;
        let rule = rules.lookup(&client, &host.name, Some(host.namespace()));
        // A host outside the cluster is listed in any case: it is why the entry was written.
        if rule.is_none() && !is_routed && host.origin.entry().is_none() {
            return Vec::new();
        }
        let from = rule.map_or_else(Vec::new, |rule| rule.from.clone());
        let cluster = |port: &HostPort, subset: Option<&String>, labels: &Labels| {
            let candidates = port.candidates.iter();
            Cluster {
                host: host.name.clone(),
                port: port.port.port,
                subset: subset.cloned(),
                destination_rules: from.clone(),
                endpoints: usable(candidates.filter(|candidate| candidate.has(labels))).to_vec(),
            }
        };
        let mut clusters = Vec::new();
        for port in &host.ports {
            clusters.push(cluster(port, None, &labels));
            let subsets = rule.iter().flat_map(|rule| &rule.subsets);
            clusters
                .extend(subsets.map(|subset| cluster(port, Some(&subset.name), &subset.labels)));
        }
        clusters
    }

    /// Puts everything together; signatures of which the same held become one class.
    fn desired(&mut self) -> Desired {
        let mut desired = Desired::default();
        let mut class_of: BTreeMap<&Signature, ClassId> = BTreeMap::new();
        let mut by_text: BTreeMap<String, Vec<&Signature>> = BTreeMap::new();
        let varying = self.varying.iter().filter_map(|name| self.made.get(name));
        let varying: Vec<_> = varying.filter_map(|made| made.varying.as_ref()).collect();
        for signature in self.signatures.keys() {
            let (mut asked, mut differs) = (Asked::default(), false);
            for own in varying.iter().filter_map(|all| all.get(signature)) {
                asked.add(&own.asked);
                differs |= !own.views.is_empty();
            }
            if differs {
                let text = signature.text(&asked);
                by_text.entry(text).or_default().push(signature);
            }
        }
        for (text, signatures) in by_text {
            let number = class::number(&text, &desired.class_names);
            desired.class_names.insert(number, text);
            for signature in signatures {
                class_of.insert(signature, number);
                let pods = self.signatures[signature].iter().cloned();
                desired.classes.extend(pods.map(|pod| (pod, number)));
            }
        }
        let mut classed = BTreeMap::new();
        let all = self.made.iter();
        let service = |(name, made): (&String, &Made)| {
            let Some(varying) = &made.varying else {
                return Arc::clone(&made.service);
            };
            let service = with_classes(&made.service, varying, &class_of);
            let same = self.classed.get(name).filter(|old| **old == service);
            let service = same.map_or(service, Arc::clone);
            classed.insert(name.clone(), Arc::clone(&service));
            service
        };
        desired.services = all.map(service).collect();
        self.classed = classed;
        desired
    }

    fn findings(&self, review: &Review, told_of_logs: Vec<Finding>) -> Vec<Finding> {
        let mut all = told_of_logs;
        all.extend(review.findings().cloned());
        all.extend(self.virtual_services.findings().cloned());
        all.extend(self.egress.findings.iter().cloned());
        let told = self.told.iter().filter_map(|name| self.made.get(name));
        all.extend(told.flat_map(|made| made.findings.iter().cloned()));
        all
    }
}

/// What listings call it: a ServiceEntry by its host.
fn service_name(host: &Host) -> String {
    let object = host.origin.service();
    object.map_or_else(|| host.name.clone(), |object| object.meta.name.clone())
}

/// The service with a view for each class that sees something else.
fn with_classes(
    service: &Arc<Service>,
    varying: &BTreeMap<Signature, Own>,
    class_of: &BTreeMap<&Signature, ClassId>,
) -> Arc<Service> {
    let mut differing = varying
        .iter()
        .filter(|(_, own)| !own.views.is_empty())
        .peekable();
    if differing.peek().is_none() {
        return Arc::clone(service);
    }
    let mut service = (**service).clone();
    for (signature, own) in differing {
        let Some(&class) = class_of.get(signature) else {
            continue;
        };
        for (&index, view) in &own.views {
            service.ports[index].views.insert(class, view.clone());
        }
    }
    Arc::new(service)
}

/// Whether a VirtualService decides.
fn is_routed(view: &View) -> bool {
    matches!(view, View::Route(route) if route.rule != Rule::Service)
}

fn seen_by_anyone(port: &HostPort, view: View) -> Port {
    Port {
        number: port.port.port,
        name: port.port.name.clone(),
        proto: port.proto,
        protocol: port.protocol.name().to_owned(),
        affinity_secs: port.affinity_secs,
        views: BTreeMap::from([(CLASS_ANYONE, view)]),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
