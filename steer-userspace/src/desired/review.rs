//! What is read and not enforced, or only in part, or refers to nothing.
//!
//! Findings of an object are kept while the object, the registry and the DestinationRules are.

mod destination_rule;
mod service;
mod virtual_service;

use std::{collections::BTreeMap, sync::Arc};

use super::{codes, export, route::World};
use crate::{
    finding::{Finding, Severity},
    source::{Object, Snapshot, istio::VirtualService, object::Kind},
};

/// The findings of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Review {
    services: Vec<Finding>,
    destination_rules: Vec<Finding>,
    virtual_services: BTreeMap<(String, String), (Arc<Object<VirtualService>>, Vec<Finding>)>,
}

impl Review {
    /// Reviews what changed; everything, if `others_changed`: the registry or a DestinationRule.
    pub(super) fn update(&mut self, world: World<'_>, snapshot: &Snapshot, others_changed: bool) {
        if others_changed {
            self.services = world
                .registry
                .hosts
                .values()
                .flat_map(|host| service::review(host))
                .collect();
            let rules = snapshot.destination_rules.iter();
            self.destination_rules = rules
                .flat_map(|rule| destination_rule::review(world, rule))
                .collect();
            self.virtual_services.clear();
        }
        let mut old = std::mem::take(&mut self.virtual_services);
        for object in &snapshot.virtual_services {
            let key = (object.meta.namespace.clone(), object.meta.name.clone());
            let kept = old
                .remove(&key)
                .filter(|(found, _)| Arc::ptr_eq(found, object));
            let found = kept
                .unwrap_or_else(|| (Arc::clone(object), virtual_service::review(world, object)));
            self.virtual_services.insert(key, found);
        }
    }

    /// All of them, sorted.
    pub(super) fn findings(&self, world: World<'_>) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.services.clone();
        all.extend(self.destination_rules.iter().cloned());
        all.extend(
            self.virtual_services
                .values()
                .flat_map(|(_, found)| found.iter().cloned()),
        );
        all.extend(contested(world));
        all.sort();
        all.dedup();
        all
    }
}

/// Of several VirtualServices for one host the oldest that a client sees wins whole.
fn contested(world: World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (host, found) in world.virtual_services.contested() {
        for (index, younger) in found.iter().enumerate() {
            let hides = |older: &&Arc<Object<VirtualService>>| {
                !Arc::ptr_eq(older, younger)
                    && export::covers(
                        (&older.spec.export_to, &older.meta.namespace),
                        (&younger.spec.export_to, &younger.meta.namespace),
                    )
            };
            let Some(older) = found[..index].iter().find(hides) else {
                continue;
            };
            let mut about = About::new(younger);
            let message = format!(
                "{host} is decided by {}, which is older or, of the same age, comes first by name; \
                 this rule has no effect on it",
                older.reference()
            );
            about.say(
                Severity::Warning,
                codes::CONFLICTING_HOSTS,
                "spec.hosts",
                message,
                "join the rules in one VirtualService",
            );
            findings.extend(about.found);
        }
    }
    findings
}

/// Collects findings about one object.
struct About<'a, T> {
    object: &'a Object<T>,
    found: Vec<Finding>,
}

impl<'a, T: Kind> About<'a, T> {
    fn new(object: &'a Object<T>) -> Self {
        Self {
            object,
            found: Vec::new(),
        }
    }

    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        field: &str,
        message: impl Into<String>,
        help: &str,
    ) {
        self.found.push(Finding {
            severity,
            code,
            object: Some(self.object.reference()),
            position: Some(self.object.place.position(field)),
            field: field.to_owned(),
            message: message.into(),
            help: help.to_owned(),
        });
    }

    fn warn(&mut self, code: &'static str, field: &str, message: impl Into<String>, help: &str) {
        self.say(Severity::Warning, code, field, message, help);
    }

    fn not_enforced(&mut self, field: &str, what: &str) {
        let message = format!("{field} is not enforced: {what}");
        self.warn(
            codes::FIELD_NOT_ENFORCED,
            field,
            message,
            "leave it out, or know that it has no effect here",
        );
    }
}
