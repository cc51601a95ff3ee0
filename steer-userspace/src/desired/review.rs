//! What is read and not enforced, or only in part, or refers to nothing.
//!
//! The findings of an object are kept while nothing changes that was looked at for them.

mod destination_rule;
mod http;
mod l4;
mod service;
mod virtual_service;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    change::{Changes, Difference, same},
    dependents::Dependents,
    host,
    report::Report,
    route::World,
};
use crate::{
    finding::Finding,
    source::{
        Object, Snapshot,
        core::{EndpointSlice, Service},
        istio::{DestinationRule, VirtualService},
        object::Kind,
    },
};

/// The findings of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Review {
    services: Kept<Service>,
    slices: Kept<EndpointSlice>,
    destination_rules: Kept<DestinationRule>,
    virtual_services: Kept<VirtualService>,
}

/// A namespace and a name.
type Name = (String, String);

/// Findings by object.
#[derive(Debug)]
struct Kept<T> {
    objects: Vec<Arc<Object<T>>>,
    reviewed: BTreeMap<Name, Reviewed<T>>,
    /// Which of them looked at what.
    dependents: Dependents<Name>,
    /// Those about which something was found.
    told: BTreeSet<Name>,
}

#[derive(Debug)]
struct Reviewed<T> {
    object: Arc<Object<T>>,
    consulted: BTreeSet<String>,
    findings: Vec<Finding>,
}

/// How a snapshot sorts objects.
#[derive(Clone, Copy)]
enum Order {
    Name,
    Age,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            reviewed: BTreeMap::new(),
            dependents: Dependents::default(),
            told: BTreeSet::new(),
        }
    }
}

impl<T: Kind> Kept<T> {
    /// Reviews those objects that changed, or that looked at something that did.
    fn update(
        &mut self,
        objects: &[Arc<Object<T>>],
        order: Order,
        changes: &Changes,
        review: impl Fn(&Arc<Object<T>>, &mut BTreeSet<String>, &mut Report),
    ) {
        let concerned = self.dependents.concerned(changes);
        let kept = concerned.iter().filter_map(|name| self.reviewed.get(name));
        let mut stale: BTreeMap<Name, Arc<Object<T>>> = kept
            .map(|kept| (name(&kept.object), Arc::clone(&kept.object)))
            .collect();
        if !same(&self.objects, objects) {
            let old = std::mem::replace(&mut self.objects, objects.to_vec());
            let changed = Difference::new(&old, objects, |object| {
                let (created, namespace, name) = object.age_key();
                let created = match order {
                    Order::Name => None,
                    Order::Age => Some(created),
                };
                (created, namespace, name)
            });
            for object in changed.removed {
                self.forget(&name(object));
                stale.remove(&name(object));
            }
            let added = changed.added.into_iter();
            stale.extend(added.map(|object| (name(object), Arc::clone(object))));
        }
        for (name, object) in stale {
            self.forget(&name);
            let (mut consulted, mut report) = (BTreeSet::new(), Report::default());
            review(&object, &mut consulted, &mut report);
            self.dependents.add(&name, &consulted);
            if !report.found.is_empty() {
                self.told.insert(name.clone());
            }
            let reviewed = Reviewed {
                object,
                consulted,
                findings: report.found,
            };
            self.reviewed.insert(name, reviewed);
        }
    }

    fn forget(&mut self, name: &Name) {
        if let Some(old) = self.reviewed.remove(name) {
            self.dependents.remove(name, &old.consulted);
            self.told.remove(name);
        }
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        let told = self.told.iter().filter_map(|name| self.reviewed.get(name));
        told.flat_map(|reviewed| &reviewed.findings)
    }
}

fn name<T>(object: &Object<T>) -> Name {
    (object.meta.namespace.clone(), object.meta.name.clone())
}

impl Review {
    /// Reviews what changed.
    pub(super) fn update(&mut self, world: World<'_>, snapshot: &Snapshot, changes: &Changes) {
        let domain = &world.settings.domain;
        let services = &snapshot.services;
        self.services.update(
            services,
            Order::Name,
            changes,
            |object, consulted, report| {
                let meta = &object.meta;
                let name = host::full_name(&meta.name, &meta.namespace, domain);
                if let Some(host) = world.registry.host(&name) {
                    service::review(host, object, report);
                }
                consulted.insert(name);
            },
        );
        let slices = &snapshot.endpoint_slices;
        self.slices
            .update(slices, Order::Name, changes, |object, _, report| {
                service::review_slice(object, report);
            });
        let rules = &snapshot.destination_rules;
        self.destination_rules
            .update(rules, Order::Age, changes, |object, consulted, report| {
                destination_rule::review(world, object, consulted, report);
            });
        let written = &snapshot.virtual_services;
        self.virtual_services
            .update(written, Order::Age, changes, |object, consulted, report| {
                // One without hosts is reviewed with those that delegate to it.
                if let Some(prepared) = world.virtual_services.prepared(object) {
                    virtual_service::review(world, prepared, consulted, report);
                }
            });
    }

    /// All findings.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let services = self.services.findings().chain(self.slices.findings());
        let rules = self.destination_rules.findings();
        services
            .chain(rules)
            .chain(self.virtual_services.findings())
    }
}
