//! Which VirtualServices stand for a host of the mesh, in the order in which they are asked.
//!
//! The most specific host pattern first, of one pattern the oldest. They are not merged: the first
//! that a client sees decides alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    codes, delegate,
    export::Visibility,
    host::{self, HostIndex},
    report::Report,
};
use crate::{
    finding::Finding,
    source::{
        Object,
        istio::{HttpRoute, VirtualService},
    },
};

/// The gateway that stands for all clients in the mesh.
pub const MESH: &str = "mesh";

type Written = Arc<Object<VirtualService>>;

/// All VirtualServices that have hosts.
#[derive(Clone, Debug, Default)]
pub struct VirtualServices {
    /// The oldest first.
    pub all: Vec<Prepared>,
    by_host: HostIndex<Vec<usize>>,
    /// What they have against each other.
    pub(super) findings: Vec<Finding>,
}

/// A VirtualService, its names made full and its delegates merged.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As written.
    pub object: Written,
    /// Its hosts, in full.
    pub hosts: Vec<String>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether it is for the mesh.
    pub mesh: bool,
    /// Its `http` rules, those of delegates in their place.
    pub http: Vec<HttpRule>,
}

/// An `http` rule.
#[derive(Clone, Debug)]
pub struct HttpRule {
    /// Where it was written: the VirtualService, or its delegate.
    pub object: Written,
    /// The field there.
    pub field: String,
    index: usize,
    /// With the rule that delegates to it.
    merged: Option<HttpRoute>,
}

impl HttpRule {
    fn written(object: &Written, index: usize) -> Self {
        Self {
            object: Arc::clone(object),
            field: format!("spec.http[{index}]"),
            index,
            merged: None,
        }
    }

    /// Its content.
    pub fn route(&self) -> &HttpRoute {
        self.merged
            .as_ref()
            .unwrap_or(&self.object.spec.http[self.index])
    }
}

impl VirtualServices {
    /// Sorts VirtualServices in, which are in Istio's order.
    pub fn new(objects: &[Written], domain: &str) -> Self {
        let mut report = Report::default();
        let mut delegates = Delegates::new(objects);
        let mut this = Self::default();
        for object in objects
            .iter()
            .filter(|object| !object.spec.hosts.is_empty())
        {
            let prepared = prepare(object, &mut delegates, domain, &mut report);
            if prepared.mesh {
                for host in prepared.hosts.iter().filter(|host| *host != "*") {
                    this.by_host.entry(host).push(this.all.len());
                }
            }
            this.all.push(prepared);
        }
        delegates.note_unused(&mut report);
        this.note_conflicts(&mut report);
        this.findings = report.found;
        this
    }

    /// Those of the mesh that `host` fits, in the order in which they are asked.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = &Prepared> {
        let found = self.by_host.all(host).flatten();
        found.map(|&index| &self.all[index])
    }

    /// Those that a client of `namespace` sees and that are bound to `gateway`, the oldest first.
    pub fn visible<'s>(
        &'s self,
        namespace: &'s str,
        gateway: &'s str,
    ) -> impl Iterator<Item = &'s Prepared> {
        self.all.iter().filter(move |prepared| {
            let gateways = &prepared.object.spec.gateways;
            let bound = if gateways.is_empty() {
                gateway == MESH
            } else {
                gateways.iter().any(|name| name == gateway)
            };
            bound && prepared.visibility.includes(Some(namespace))
        })
    }

    /// Notes those that share a host pattern and some client with an older one.
    fn note_conflicts(&self, report: &mut Report) {
        for prepared in self.all.iter().filter(|prepared| prepared.mesh) {
            for (index, host) in prepared.hosts.iter().enumerate() {
                let same = self.by_host.get(host).into_iter().flatten();
                let mut older = same
                    .map(|&index| &self.all[index])
                    .take_while(|other| !Arc::ptr_eq(&other.object, &prepared.object));
                let Some(older) =
                    older.find(|other| other.visibility.overlaps(&prepared.visibility))
                else {
                    continue;
                };
                let effect = if older.visibility.covers(&prepared.visibility) {
                    "this rule has no effect on it"
                } else {
                    "for clients that see both this rule has no effect on it"
                };
                let message = format!(
                    "{host} is decided by {}, which is older or, of the same age, comes first by name; {effect}",
                    older.object.reference()
                );
                report.add(
                    &*prepared.object,
                    &format!("spec.hosts[{index}]"),
                    codes::CONFLICTING_HOSTS,
                    message,
                    "join the rules in one VirtualService",
                );
            }
        }
    }
}

fn prepare(
    object: &Written,
    delegates: &mut Delegates<'_>,
    domain: &str,
    report: &mut Report,
) -> Prepared {
    let namespace = object.meta.namespace.as_str();
    let spec = &object.spec;
    let mut http = Vec::with_capacity(spec.http.len());
    for (index, route) in spec.http.iter().enumerate() {
        let rule = HttpRule::written(object, index);
        if route.delegate.is_some() {
            delegates.merge(&rule, report, &mut http);
        } else {
            http.push(rule);
        }
    }
    let hosts = spec.hosts.iter();
    Prepared {
        object: Arc::clone(object),
        hosts: hosts
            .map(|name| host::full_name(name, namespace, domain))
            .collect(),
        visibility: visibility(object),
        mesh: is_on_mesh(&spec.gateways),
        http,
    }
}

/// Whether a list of gateways names the mesh; none given means it does.
pub fn is_on_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|name| name == MESH)
}

fn visibility(object: &Object<VirtualService>) -> Visibility {
    let export_to = object.spec.export_to.iter();
    Visibility::new(export_to.map(String::as_str), &object.meta.namespace)
}

/// VirtualServices without hosts, which others name.
struct Delegates<'s> {
    by_name: BTreeMap<(&'s str, &'s str), &'s Written>,
    used: BTreeSet<(String, String)>,
}

impl<'s> Delegates<'s> {
    fn new(objects: &'s [Written]) -> Self {
        let some = objects.iter().filter(|object| object.spec.hosts.is_empty());
        let by_name = some.map(|object| {
            let meta = &object.meta;
            ((meta.namespace.as_str(), meta.name.as_str()), object)
        });
        Self {
            by_name: by_name.collect(),
            used: BTreeSet::new(),
        }
    }

    /// Puts the rules of the delegate in the place of the rule that names it.
    fn merge(&mut self, root: &HttpRule, report: &mut Report, http: &mut Vec<HttpRule>) {
        let own = &root.object.meta.namespace;
        let Some(wanted) = &root.route().delegate else {
            return;
        };
        let namespace = wanted.namespace.as_ref().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or(own).as_str();
        let found = self.by_name.get(&(namespace, wanted.name.as_str()));
        let found = found.filter(|object| visibility(object).includes(Some(own)));
        let Some(&object) = found else {
            report.add(
                &*root.object,
                &format!("{}.delegate", root.field),
                codes::NOT_FOUND,
                format!(
                    "the delegate {namespace}/{} does not exist: the rule is left out",
                    wanted.name
                ),
                "a delegate is a VirtualService without hosts, exported to this namespace",
            );
            return;
        };
        let name = (namespace.to_owned(), wanted.name.clone());
        self.used.insert(name);
        for (index, rule) in object.spec.http.iter().enumerate() {
            let written = HttpRule::written(object, index);
            match delegate::merge_route(root.route(), rule) {
                Some(merged) => http.push(HttpRule {
                    merged: Some(merged),
                    ..written
                }),
                None => report.add(
                    object,
                    &written.field,
                    codes::DELEGATE,
                    format!(
                        "the rule contradicts the match of {} {}: it is left out there",
                        root.object.reference(),
                        root.field
                    ),
                    "make its match narrower than the one that delegates to it",
                ),
            }
        }
    }

    fn note_unused(&self, report: &mut Report) {
        for object in self.by_name.values() {
            let name = (object.meta.namespace.clone(), object.meta.name.clone());
            if self.used.contains(&name) {
                continue;
            }
            let message = "it has no hosts, and no other VirtualService delegates to it";
            report.add(&**object, "", codes::DELEGATE, message, "name its hosts");
        }
    }
}

#[cfg(test)]
mod tests;
