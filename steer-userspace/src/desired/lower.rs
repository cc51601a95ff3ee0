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
    Settings,
    class::{self, Questions, Signature},
    client::{Client, NO_LABELS},
    destination_rules::DestinationRules,
    host,
    model::{Cluster, Desired, PodRef, Port, Rule, Service, View},
    registry::{Host, HostPort, Registry, same},
    review,
    route::{self, World},
    virtual_services::VirtualServices,
};
use crate::source::{
    Object, Snapshot,
    istio::{DestinationRule, VirtualService},
};

/// What a configuration means, for a node on which the pods `local` run.
pub fn lower(snapshot: &Snapshot, settings: &Settings, local: &BTreeSet<PodRef>) -> Desired {
    Lowering::new(settings.clone()).lower(snapshot, local)
}

/// The pattern that every host fits.
const ANY: &str = "*";

/// Lowers one snapshot after another and keeps what did not change.
#[derive(Debug)]
pub struct Lowering {
    settings: Settings,
    registry: Registry,
    virtual_services: VirtualServices,
    destination_rules: DestinationRules,
    written: (
        Vec<Arc<Object<VirtualService>>>,
        Vec<Arc<Object<DestinationRule>>>,
    ),
    signatures: BTreeMap<Signature, Vec<PodRef>>,
    made: BTreeMap<String, Made>,
    review: review::Review,
}

/// A service, and what it was made from.
#[derive(Clone, Debug)]
struct Made {
    service: Arc<Service>,
    consulted: BTreeSet<String>,
    /// Its views by signature, where they differ from what anyone sees.
    differs: BTreeMap<Signature, BTreeMap<usize, View>>,
}

impl Lowering {
    /// Nothing was lowered yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            registry: Registry::default(),
            virtual_services: VirtualServices::default(),
            destination_rules: DestinationRules::default(),
            written: (Vec::new(), Vec::new()),
            signatures: BTreeMap::new(),
            made: BTreeMap::new(),
            review: review::Review::default(),
        }
    }

    /// What `snapshot` means.
    pub fn lower(&mut self, snapshot: &Snapshot, local: &BTreeSet<PodRef>) -> Desired {
        let mut changed = self.registry.update(snapshot, &self.settings.domain);
        let mut others_changed = !changed.is_empty()
            || self.made.is_empty()
            || !same(&self.written.1, &snapshot.destination_rules);
        changed.extend(self.update_rules(snapshot));
        // A delegate: whoever refers to it is reviewed anew.
        others_changed |= changed.iter().any(|name| name == ANY);
        let asked = Questions::of(snapshot);
        let signatures = class::signatures(snapshot, &asked, local);
        if !signatures.keys().eq(self.signatures.keys()) {
            self.made.clear();
        }
        self.signatures = signatures;
        self.remake(&changed);
        let mut review = std::mem::take(&mut self.review);
        review.update(self.world(), snapshot, others_changed);
        let mut desired = self.desired();
        desired.findings = review.findings(self.world());
        self.review = review;
        desired
    }

    /// Takes over the rules; returns the host patterns that they changed.
    fn update_rules(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let domain = self.settings.domain.clone();
        let domain = domain.as_str();
        let (virtual_services, destination_rules) = std::mem::take(&mut self.written);
        let mut changed = Vec::new();
        let (old, new) = (&virtual_services, &snapshot.virtual_services);
        for found in missing(old, new).into_iter().chain(missing(new, old)) {
            if found.spec.hosts.is_empty() {
                // A delegate: whoever refers to it is not known by its hosts.
                changed.push(ANY.to_owned());
            }
            let namespace = &found.meta.namespace;
            changed.extend(
                found
                    .spec
                    .hosts
                    .iter()
                    .map(|name| host::qualify(name, namespace, domain).to_ascii_lowercase()),
            );
        }
        let (old, new) = (&destination_rules, &snapshot.destination_rules);
        for found in missing(old, new).into_iter().chain(missing(new, old)) {
            changed.push(host::qualify(
                &found.spec.host,
                &found.meta.namespace,
                domain,
            ));
        }
        if !same(&virtual_services, &snapshot.virtual_services) {
            self.virtual_services = VirtualServices::new(&snapshot.virtual_services, domain);
        }
        if !same(&destination_rules, &snapshot.destination_rules) {
            let root = &self.settings.root_namespace;
            self.destination_rules =
                DestinationRules::new(&snapshot.destination_rules, domain, root);
        }
        self.written = (
            snapshot.virtual_services.clone(),
            snapshot.destination_rules.clone(),
        );
        changed
    }

    /// Makes the services that looked at something that changed.
    fn remake(&mut self, changed: &[String]) {
        if changed.is_empty() && self.made.len() == self.registry.hosts.len() {
            return;
        }
        self.made
            .retain(|name, _| self.registry.hosts.contains_key(name));
        let (patterns, names): (Vec<&String>, Vec<&String>) =
            changed.iter().partition(|name| name.starts_with('*'));
        let names: BTreeSet<&String> = names.into_iter().collect();
        let stale = |made: &Made| {
            made.consulted.iter().any(|name| {
                names.contains(name) || patterns.iter().any(|pattern| host::covers(pattern, name))
            })
        };
        let wanted: Vec<Arc<Host>> = self
            .registry
            .hosts
            .iter()
            .filter(|(name, _)| self.made.get(*name).is_none_or(stale))
            .map(|(_, host)| Arc::clone(host))
            .collect();
        for host in wanted {
            let made = self.make(&host);
            self.made.insert(host.name.clone(), made);
        }
    }

    fn world(&self) -> World<'_> {
        World {
            registry: &self.registry,
            virtual_services: &self.virtual_services,
            destination_rules: &self.destination_rules,
            settings: &self.settings,
        }
    }

    fn make(&self, host: &Host) -> Made {
        let mut consulted = BTreeSet::from([host.name.clone()]);
        let mut differs: BTreeMap<Signature, BTreeMap<usize, View>> = BTreeMap::new();
        let mut ports = Vec::new();
        for port in &host.ports {
            let Some(proto) = port.proto else { continue };
            let anyone = route::make(self.world(), host, port, proto, &Client::ANYONE);
            consulted.extend(anyone.consulted);
            if anyone.varies {
                for signature in self.signatures.keys() {
                    let own = route::make(self.world(), host, port, proto, &signature.client());
                    consulted.extend(own.consulted);
                    if own.view != anyone.view {
                        differs
                            .entry(signature.clone())
                            .or_default()
                            .insert(ports.len(), own.view);
                    }
                }
            }
            ports.push(lowered(host, port, proto, anyone.view));
        }
        let own = differs.values().flat_map(BTreeMap::values);
        let mut views = ports.iter().flat_map(|port| port.views.values()).chain(own);
        let is_routed = views.any(is_routed);
        let service = Arc::new(Service {
            namespace: host.object.meta.namespace.clone(),
            name: host.object.meta.name.clone(),
            host: host.name.clone(),
            addresses: host.addresses.clone(),
            ports,
            clusters: self.clusters(host, is_routed),
        });
        Made {
            service,
            consulted,
            differs,
        }
    }

    /// What a client of the service's own namespace may be led to, if a DestinationRule says so; the
    /// service itself, if a VirtualService may lead away from it.
    fn clusters(&self, host: &Host, is_routed: bool) -> Vec<Cluster> {
        let namespace = host.object.meta.namespace.as_str();
        let client = Client {
            namespace: Some(namespace),
            ..Client::ANYONE
        };
        let rules = self.destination_rules.find(&host.name, namespace, &client);
        if rules.is_none() && !is_routed {
            return Vec::new();
        }
        let from = rules
            .as_ref()
            .map_or_else(Vec::new, |rules| rules.from.clone());
        let subsets = || {
            let subsets = rules.iter().flat_map(|rules| &rules.subsets);
            subsets.map(|found| (Some(&found.name), &found.labels))
        };
        let from = &from;
        let steered = host
            .ports
            .iter()
            .filter_map(|port| Some((port.port.port, port.proto?)));
        steered
            .flat_map(|(port, proto)| {
                std::iter::once((None, &NO_LABELS))
                    .chain(subsets())
                    .map(move |(subset, labels)| Cluster {
                        host: host.name.clone(),
                        port,
                        subset: subset.cloned(),
                        destination_rules: from.clone(),
                        endpoints: host.endpoints(port, proto, labels).to_vec(),
                    })
            })
            .collect()
    }

    /// Puts everything together; signatures with the same outcome become one class.
    fn desired(&self) -> Desired {
        let mut desired = Desired::default();
        let mut outcomes: BTreeMap<Vec<(&String, &BTreeMap<usize, View>)>, ClassId> =
            BTreeMap::new();
        let mut class_of: BTreeMap<&Signature, ClassId> = BTreeMap::new();
        for (signature, pods) in &self.signatures {
            let outcome: Vec<_> = self
                .made
                .iter()
                .filter_map(|(name, made)| Some((name, made.differs.get(signature)?)))
                .collect();
            if outcome.is_empty() {
                continue;
            }
            let text = signature.text();
            let class = *outcomes
                .entry(outcome)
                .or_insert_with(|| class::number(&text, &desired.class_names));
            desired
                .class_names
                .entry(class)
                .and_modify(|known| *known = format!("{known} or {text}"))
                .or_insert(text);
            class_of.insert(signature, class);
            desired
                .classes
                .extend(pods.iter().map(|pod| (pod.clone(), class)));
        }
        for made in self.made.values() {
            desired.services.push(with_classes(made, &class_of));
        }
        desired
    }
}

/// The objects of `old` that are not in `new`.
fn missing<'a, T>(old: &'a [Arc<T>], new: &[Arc<T>]) -> Vec<&'a Arc<T>> {
    let known: BTreeSet<*const T> = new.iter().map(Arc::as_ptr).collect();
    old.iter()
        .filter(|found| !known.contains(&Arc::as_ptr(found)))
        .collect()
}

/// The service with a view for each class that sees something else.
fn with_classes(made: &Made, class_of: &BTreeMap<&Signature, ClassId>) -> Arc<Service> {
    if made.differs.is_empty() {
        return Arc::clone(&made.service);
    }
    let mut service = (*made.service).clone();
    for (signature, views) in &made.differs {
        let Some(&class) = class_of.get(signature) else {
            continue;
        };
        for (&index, view) in views {
            service.ports[index].views.insert(class, view.clone());
        }
    }
    Arc::new(service)
}

/// `sessionAffinity: ClientIP` holds for three hours unless it says otherwise.
const AFFINITY_SECS: u32 = 10_800;

/// Whether a VirtualService decides.
fn is_routed(view: &View) -> bool {
    matches!(view, View::Route(route) if route.rule != Rule::Service)
}

fn lowered(host: &Host, port: &HostPort, proto: steer_common::Proto, view: View) -> Port {
    let spec = &host.object.spec;
    let timeout = spec.session_affinity_config.as_ref();
    let timeout = timeout.and_then(|found| found.client_ip.as_ref()?.timeout_seconds);
    let has_affinity = spec.session_affinity.as_deref() == Some("ClientIP");
    Port {
        number: port.port.port,
        name: port.port.name.clone(),
        proto,
        protocol: port.protocol.clone(),
        affinity_secs: has_affinity.then(|| timeout.unwrap_or(AFFINITY_SECS)),
        views: BTreeMap::from([(CLASS_ANYONE, view)]),
    }
}
