//! Access logs: which pods of this node have a line written for what they ask, or are asked.
//!
//! The Telemetries of a workload are the root namespace's, its namespace's, and the oldest that selects
//! it. Each names providers, or means those of the one before; the last word of each provider
//! counts. Where no Telemetry speaks of access logs, the mesh's `accessLogFile` does.

mod review;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    client::{Labels, contains},
    egress::outbound::of_mesh,
    gateway::model::Listener,
    model::{AccessLogs, PodRef, Sides},
    report::Report,
    settings::Settings,
};
use crate::{
    access_log::{Format, Mistake, Side},
    finding::Finding,
    source::{
        Object, Snapshot,
        istio::{AccessLogging, MeshConfig, Telemetry},
    },
};

/// The provider that writes lines.
const ENVOY: &str = "envoy";
/// Where its lines go.
const STDOUT: &str = "/dev/stdout";

/// Who logs, and what is found on the way.
pub(super) fn lower(
    snapshot: &Snapshot,
    settings: &Settings,
    local: &BTreeSet<PodRef>,
    listeners: &[Listener],
) -> (AccessLogs, Vec<Finding>) {
    let mesh = Mesh::new(snapshot, settings);
    let all = Telemetries::new(&snapshot.telemetries, &settings.root_namespace);
    let mut report = Report::default();
    review::review(snapshot, &mesh, &all, &mut report);
    let (format, mistakes) = mesh.format();
    mesh.tell(mistakes, &mut report);
    let pods = local.iter().filter_map(|pod| {
        let labels = snapshot.pod(pod).map(|object| &object.meta.labels);
        let own = all.of(&pod.namespace, labels);
        let sides = Sides {
            client: mesh.logs(&own, Side::Client),
            server: mesh.logs(&own, Side::Server),
        };
        (sides != Sides::default()).then(|| (pod.clone(), sides))
    });
    // What a gateway asks of pods is its clients' doing: its side is the client's.
    let gateways = listeners.iter().filter_map(|listener| {
        let wanted = &listener.service;
        let object = snapshot.services.iter().find(|object| {
            object.meta.namespace == wanted.namespace && object.meta.name == wanted.name
        })?;
        let own = all.of(&object.meta.namespace, Some(&object.spec.selector));
        let name = PodRef {
            namespace: object.meta.namespace.clone(),
            name: object.meta.name.clone(),
        };
        mesh.logs(&own, Side::Client)
            .then_some((listener.port, name))
    });
    let logs = AccessLogs {
        file: mesh.file().unwrap_or(STDOUT).to_owned(),
        format,
        pods: pods.collect(),
        gateways: gateways.collect(),
    };
    (logs, report.found)
}

/// What the mesh's configuration says of access logs.
struct Mesh<'s> {
    object: Option<&'s Arc<Object<MeshConfig>>>,
}

impl<'s> Mesh<'s> {
    fn new(snapshot: &'s Snapshot, settings: &Settings) -> Self {
        Self {
            object: of_mesh(snapshot, settings),
        }
    }

    fn file(&self) -> Option<&'s str> {
        let written = self.object?.spec.access_log_file.as_deref();
        written.filter(|file| !file.is_empty())
    }

    /// Whom Telemetries mean that name nobody.
    fn providers(&self) -> Vec<&'s str> {
        let written = self
            .object
            .and_then(|it| it.spec.default_providers.as_ref());
        let written = written.map(|found| found.access_logging.iter().map(String::as_str));
        written.into_iter().flatten().collect()
    }

    fn format(&self) -> (Format, Vec<Mistake>) {
        let spec = self.object.map(|object| &object.spec);
        let written = spec.and_then(|spec| spec.access_log_format.as_deref());
        let written = written.unwrap_or_default();
        match spec.and_then(|spec| spec.access_log_encoding.as_deref()) {
            Some("JSON") => Format::json(written),
            _ => Format::text(written),
        }
    }

    fn tell(&self, mistakes: Vec<Mistake>, report: &mut Report) {
        if let Some(object) = self.object {
            for mistake in mistakes {
                review::mistake(object, &mistake, report);
            }
        }
    }

    /// Whether lines are written for one side of a workload that has these Telemetries.
    fn logs(&self, own: &[&'s Arc<Object<Telemetry>>], side: Side) -> bool {
        let mut parents = self.providers();
        if own.is_empty() && parents.is_empty() {
            return self.file().is_some();
        }
        let meant = meant(own, side).unwrap_or_else(|| parents.clone());
        let by_default = meant.contains(&ENVOY) && parents.contains(&ENVOY);
        let mut logs = by_default.then_some(true);
        let entries = own.iter().flat_map(|object| &object.spec.access_logging);
        for entry in entries {
            if !entry.providers.is_empty() {
                parents = names(entry);
            }
            let concerned = parents.contains(&ENVOY) && meant.contains(&ENVOY);
            if concerned && is_of(entry, side) {
                logs = Some(entry.disabled != Some(true));
            }
        }
        // Where no provider is meant at all, Istio falls back to the mesh's file.
        logs.unwrap_or(meant.is_empty() && self.file().is_some())
    }
}

/// The providers that the nearest Telemetry names, for one side.
fn meant<'s>(own: &[&'s Arc<Object<Telemetry>>], side: Side) -> Option<Vec<&'s str>> {
    let named = |object: &&'s Arc<Object<Telemetry>>| {
        let entries = object.spec.access_logging.iter();
        let names: Vec<&str> = entries
            .filter(|entry| is_of(entry, side))
            .flat_map(names)
            .collect();
        (!names.is_empty()).then_some(names)
    };
    own.iter().rev().find_map(named)
}

fn names(entry: &AccessLogging) -> Vec<&str> {
    let all = entry.providers.iter();
    all.map(|provider| provider.name.as_str()).collect()
}

fn is_of(entry: &AccessLogging, side: Side) -> bool {
    let mode = entry.matches.as_ref().and_then(|it| it.mode.as_deref());
    match mode {
        Some("CLIENT") => side == Side::Client,
        Some("SERVER") => side == Side::Server,
        _ => true,
    }
}

/// All Telemetries, by namespace.
struct Telemetries<'s> {
    by_namespace: BTreeMap<&'s str, Vec<&'s Arc<Object<Telemetry>>>>,
    root: &'s str,
}

impl<'s> Telemetries<'s> {
    /// Sorts them in, which are in Istio's order.
    fn new(all: &'s [Arc<Object<Telemetry>>], root: &'s str) -> Self {
        let mut by_namespace: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for object in all {
            let of = by_namespace.entry(object.meta.namespace.as_str());
            of.or_default().push(object);
        }
        Self { by_namespace, root }
    }

    /// Those of a workload that speak of access logs, the nearest last.
    fn of(&self, namespace: &str, labels: Option<&Labels>) -> Vec<&'s Arc<Object<Telemetry>>> {
        let root = self.general(self.root);
        let general = self.general(namespace).filter(|_| namespace != self.root);
        let own = self.all(namespace).iter();
        let selecting = own.copied().find(|object| {
            selector(object)
                .is_some_and(|wanted| labels.is_some_and(|labels| contains(labels, wanted)))
        });
        let all = [root, general, selecting].into_iter().flatten();
        all.filter(|object| !object.spec.access_logging.is_empty())
            .collect()
    }

    /// The oldest of a namespace that is for all of its workloads.
    fn general(&self, namespace: &str) -> Option<&'s Arc<Object<Telemetry>>> {
        let all = self.all(namespace).iter();
        all.copied().find(|object| is_general(object))
    }

    fn all(&self, namespace: &str) -> &[&'s Arc<Object<Telemetry>>] {
        let all = self.by_namespace.get(namespace);
        all.map(Vec::as_slice).unwrap_or_default()
    }
}

/// The workloads that a Telemetry selects; none are all of its namespace.
fn selector(object: &Object<Telemetry>) -> Option<&Labels> {
    let selector = object.spec.selector.as_ref()?;
    (!selector.match_labels.is_empty()).then_some(&selector.match_labels)
}

fn is_general(object: &Object<Telemetry>) -> bool {
    selector(object).is_none() && !has_targets(object)
}

/// Whether it is for gateways and services, by name.
fn has_targets(object: &Object<Telemetry>) -> bool {
    object.spec.target_ref.is_some() || !object.spec.target_refs.is_empty()
}

#[cfg(test)]
mod tests;
