//! What is read and not enforced, or only in part, or refers to nothing.
//!
//! The findings of an object are kept while nothing changes that was looked at for them.

mod destination_rule;
mod http;
mod l4;
mod service;
mod virtual_service;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    change::{Changes, same},
    host,
    report::Report,
    route::World,
    virtual_services::Prepared,
};
use crate::{
    finding::Finding,
    source::{
        Object, Snapshot,
        core::{EndpointSlice, Service},
        istio::{DestinationRule, VirtualService},
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

/// Findings by object, its namespace and name.
#[derive(Debug)]
struct Kept<T> {
    objects: Vec<Arc<Object<T>>>,
    reviewed: BTreeMap<(String, String), Reviewed<T>>,
}

#[derive(Debug)]
struct Reviewed<T> {
    object: Arc<Object<T>>,
    consulted: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            reviewed: BTreeMap::new(),
        }
    }
}

impl<T> Kept<T> {
    /// Reviews those objects that changed, or that looked at something that did.
    fn update(
        &mut self,
        objects: &[Arc<Object<T>>],
        changes: &Changes,
        review: impl Fn(&Arc<Object<T>>, &mut BTreeSet<String>, &mut Report),
    ) {
        let anew = |object: &Arc<Object<T>>| {
            let (mut consulted, mut report) = (BTreeSet::new(), Report::default());
            review(object, &mut consulted, &mut report);
            Reviewed {
                object: Arc::clone(object),
                consulted,
                findings: report.found,
            }
        };
        let is_stale = |reviewed: &Reviewed<T>| changes.concern(reviewed.consulted.iter());
        if same(&self.objects, objects) {
            let all = self.reviewed.values_mut();
            for reviewed in all.filter(|reviewed| is_stale(reviewed)) {
                *reviewed = anew(&reviewed.object);
            }
            return;
        }
        let mut old = std::mem::take(&mut self.reviewed);
        for object in objects {
            let key = (object.meta.namespace.clone(), object.meta.name.clone());
            let kept = old.remove(&key);
            let kept = kept.filter(|kept| Arc::ptr_eq(&kept.object, object) && !is_stale(kept));
            self.reviewed
                .insert(key, kept.unwrap_or_else(|| anew(object)));
        }
        self.objects = objects.to_vec();
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        let all = self.reviewed.values();
        all.flat_map(|reviewed| &reviewed.findings)
    }
}

impl Review {
    /// Reviews what changed.
    pub(super) fn update(&mut self, world: World<'_>, snapshot: &Snapshot, changes: &Changes) {
        let domain = &world.settings.domain;
        let services = &snapshot.services;
        self.services
            .update(services, changes, |object, consulted, report| {
                let meta = &object.meta;
                let name = host::full_name(&meta.name, &meta.namespace, domain);
                if let Some(host) = world.registry.host(&name) {
                    service::review(host, report);
                }
                consulted.insert(name);
            });
        let slices = &snapshot.endpoint_slices;
        self.slices.update(slices, changes, |object, _, report| {
            service::review_slice(object, report);
        });
        let rules = &snapshot.destination_rules;
        self.destination_rules
            .update(rules, changes, |object, consulted, report| {
                destination_rule::review(world, object, consulted, report);
            });
        let prepared: OnceCell<BTreeMap<*const Object<VirtualService>, &Prepared>> =
            OnceCell::new();
        let written = &snapshot.virtual_services;
        self.virtual_services
            .update(written, changes, |object, consulted, report| {
                let all = world.virtual_services.all.iter();
                let prepared = prepared.get_or_init(|| {
                    all.map(|prepared| (Arc::as_ptr(&prepared.object), prepared))
                        .collect()
                });
                // One without hosts is reviewed with those that delegate to it.
                if let Some(prepared) = prepared.get(&Arc::as_ptr(object)) {
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
