//! Which VirtualServices stand for a host of the mesh, in the order in which they are asked.
//!
//! The most specific host pattern first, of one pattern the oldest. They are not merged: the first
//! that a client sees decides alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    change::Difference,
    codes, delegate,
    export::Visibility,
    gateway::{self, MESH},
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

type Written = Arc<Object<VirtualService>>;

/// All VirtualServices that have hosts.
#[derive(Clone, Debug, Default)]
pub struct VirtualServices {
    /// The oldest first.
    pub all: Vec<Arc<Prepared>>,
    /// Those of the mesh, by host pattern, the oldest first.
    by_host: HostIndex<Vec<Arc<Prepared>>>,
    /// What they have against each other, by the host pattern that they share.
    conflicts: BTreeMap<String, Vec<Finding>>,
    /// What is wrong with delegates.
    delegation: Vec<Finding>,
    /// Whether any is a delegate or has one: then one may change what others mean.
    delegates: bool,
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

impl Prepared {
    /// The hosts under which clients of the mesh find it. `*` alone is for gateways.
    fn mesh_hosts(&self) -> impl Iterator<Item = &String> {
        let hosts = self.hosts.iter().filter(|host| *host != "*");
        hosts.filter(|_| self.mesh)
    }
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
        let mut this = Self {
            delegates: objects.iter().any(delegates_or_is_delegate),
            ..Self::default()
        };
        let mut patterns = BTreeSet::new();
        for object in objects
            .iter()
            .filter(|object| !object.spec.hosts.is_empty())
        {
            let prepared = Arc::new(prepare(object, &mut delegates, domain, &mut report));
            for host in prepared.mesh_hosts() {
                this.by_host.entry(host).push(Arc::clone(&prepared));
                patterns.insert(host.clone());
            }
            this.all.push(prepared);
        }
        delegates.note_unused(&mut report);
        this.delegation = report.found;
        this.note_conflicts(patterns);
        this
    }

    /// What `new` would make of `new`, after `old` was sorted in.
    pub(super) fn update(&mut self, old: &[Written], new: &[Written], domain: &str) {
        let changed = Difference::new(old, new, |object| object.age_key());
        if self.delegates
            || changed
                .added
                .iter()
                .any(|object| delegates_or_is_delegate(object))
        {
            *self = Self::new(new, domain);
            return;
        }
        let mut patterns = BTreeSet::new();
        for object in changed.removed {
            let Ok(index) = place(&self.all, object) else {
                continue;
            };
            let prepared = self.all.remove(index);
            for host in prepared.mesh_hosts() {
                let same = self.by_host.entry(host);
                same.retain(|other| !Arc::ptr_eq(other, &prepared));
                if same.is_empty() {
                    self.by_host.remove(host);
                }
                patterns.insert(host.clone());
            }
        }
        for object in changed.added {
            let (mut none, mut report) = (Delegates::new(&[]), Report::default());
            let prepared = Arc::new(prepare(object, &mut none, domain, &mut report));
            for host in prepared.mesh_hosts() {
                let same = self.by_host.entry(host);
                let index = place(same, object).unwrap_or_else(|index| index);
                // A host that is named twice stands there twice, as in `new`.
                same.insert(index, Arc::clone(&prepared));
                patterns.insert(host.clone());
            }
            let index = place(&self.all, object).unwrap_or_else(|index| index);
            self.all.insert(index, prepared);
        }
        self.note_conflicts(patterns);
    }

    /// What was made of `object`, unless it has no hosts.
    pub(super) fn prepared(&self, object: &Written) -> Option<&Prepared> {
        place(&self.all, object).ok().map(|index| &*self.all[index])
    }

    /// What they have against each other.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.conflicts.values().flatten().chain(&self.delegation)
    }

    /// Those of the mesh that `host` fits, in the order in which they are asked.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = &Prepared> {
        self.by_host.all(host).flatten().map(Arc::as_ref)
    }

    /// Those that a client of `namespace` sees and that are bound to `gateway`, the oldest first.
    pub fn visible<'s>(
        &'s self,
        namespace: &'s str,
        gateway: &'s str,
    ) -> impl Iterator<Item = &'s Prepared> {
        let all = self.all.iter().map(Arc::as_ref);
        all.filter(move |prepared| {
            let gateways = &prepared.object.spec.gateways;
            let bound = if gateways.is_empty() {
                gateway == MESH
            } else {
                gateways.iter().any(|name| name == gateway)
            };
            bound && prepared.visibility.includes(Some(namespace))
        })
    }

    /// Those that the gateway `NAMESPACE/NAME` has, at a door in `namespace`, the oldest first.
    pub(super) fn bound<'s>(
        &'s self,
        namespace: &'s str,
        gateway: &'s str,
    ) -> impl Iterator<Item = &'s Prepared> {
        let all = self.all.iter().map(Arc::as_ref);
        all.filter(move |prepared| {
            let object = &prepared.object;
            let mut names = object.spec.gateways.iter();
            names.any(|name| gateway::full_name(name, &object.meta.namespace) == gateway)
                && prepared.visibility.includes(Some(namespace))
        })
    }

    /// Notes those that share one of these host patterns and some client with an older one.
    fn note_conflicts(&mut self, patterns: BTreeSet<String>) {
        for pattern in patterns {
            let mut report = Report::default();
            let same = self.by_host.get(&pattern);
            for (index, prepared) in same.into_iter().flatten().enumerate() {
                let mut older = same.into_iter().flatten().take(index);
                let older = older.find(|other| {
                    !Arc::ptr_eq(other, prepared) && other.visibility.overlaps(&prepared.visibility)
                });
                if let Some(older) = older {
                    note_conflict(prepared, older, &pattern, &mut report);
                }
            }
            if report.found.is_empty() {
                self.conflicts.remove(&pattern);
            } else {
                self.conflicts.insert(pattern, report.found);
            }
        }
    }
}

/// Where an object is, or would be, among those that are sorted by age.
fn place(all: &[Arc<Prepared>], object: &Written) -> Result<usize, usize> {
    all.binary_search_by(|prepared| prepared.object.age_key().cmp(&object.age_key()))
}

fn delegates_or_is_delegate(object: &Written) -> bool {
    let spec = &object.spec;
    spec.hosts.is_empty() || spec.http.iter().any(|route| route.delegate.is_some())
}

fn note_conflict(prepared: &Prepared, older: &Prepared, host: &str, report: &mut Report) {
    let effect = if older.visibility.covers(&prepared.visibility) {
        "this rule has no effect on it"
    } else {
        "for clients that see both this rule has no effect on it"
    };
    let message = format!(
        "{host} is decided by {}, which is older or, of the same age, comes first by name; {effect}",
        older.object.reference()
    );
    let indices = (0..).zip(&prepared.hosts).filter(|(_, name)| *name == host);
    for (index, _) in indices {
        let index: usize = index;
        report.add(
            &*prepared.object,
            &format!("spec.hosts[{index}]"),
            codes::CONFLICTING_HOSTS,
            message.clone(),
            "join the rules in one VirtualService",
        );
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
