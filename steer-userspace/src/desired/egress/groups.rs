//! Pods for which everything that decides about egress comes to the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    model::{ANYONE, Group as Ports, Mode, Net, Policy},
    outbound::{MeshDefault, Strictness, mode},
    sidecars::{self, Sidecars},
};
use crate::{
    desired::{
        export::Visibility,
        model::{PodRef, Rule},
        pods::Pods,
        registry::Registry,
    },
    source::{Meta, Object, Snapshot, istio::Sidecar, subnet::Subnet},
};

/// A group of pods.
#[derive(Clone, Debug)]
pub(super) struct Group<'s> {
    /// What distinguishes it, as text: the policy's name.
    pub(super) name: String,
    /// Their namespace, if it matters.
    pub(super) namespace: Option<&'s str>,
    pub(super) sidecar: Option<&'s Arc<Object<Sidecar>>>,
    pub(super) mode: Mode,
    /// What says so.
    pub(super) rule: Rule,
}

impl Group<'_> {
    /// Whether a port of a host is shown to them.
    pub(super) fn shows(&self, host: (&str, &str), port: u16) -> bool {
        let Some(sidecar) = self.sidecar else {
            return true;
        };
        sidecars::shows(sidecar, self.namespace, host, port)
    }

    pub(super) fn policy(
        &self,
        nets: BTreeMap<Subnet, Net>,
        names: BTreeMap<String, Arc<Ports>>,
    ) -> Policy {
        Policy {
            name: self.name.clone(),
            mode: self.mode,
            rule: self.rule.clone(),
            nets,
            names,
        }
    }
}

/// What decides about a pod.
pub(super) struct Scope<'s> {
    snapshot: &'s Snapshot,
    sidecars: &'s Sidecars<'s>,
    mesh: &'s MeshDefault,
    /// Namespaces that something of the registry is exported to by name.
    named: BTreeSet<String>,
    /// What the annotation of a namespace says.
    strictness: BTreeMap<&'s str, Strictness>,
}

impl<'s> Scope<'s> {
    pub(super) fn new(
        registry: &Registry,
        snapshot: &'s Snapshot,
        sidecars: &'s Sidecars<'s>,
        mesh: &'s MeshDefault,
    ) -> Self {
        let hosts = registry.hosts.values().map(|host| &host.visibility);
        let entries = registry.entries.iter().map(|entry| &entry.visibility);
        let named = hosts.chain(entries).flat_map(Visibility::namespaces);
        let namespaces = snapshot.namespaces.iter();
        Self {
            snapshot,
            sidecars,
            mesh,
            named: named.map(str::to_owned).collect(),
            strictness: namespaces
                .filter_map(|found| Some((found.meta.name.as_str(), Strictness::of(&found.meta)?)))
                .collect(),
        }
    }

    /// The groups by name, that of clients nobody knows among them, and whose each pod is.
    pub(super) fn groups(
        &self,
        local: &BTreeSet<PodRef>,
    ) -> (BTreeMap<String, Group<'s>>, BTreeMap<PodRef, String>) {
        let mut groups = BTreeMap::from([(ANYONE.to_owned(), self.of_anyone())]);
        let mut members = BTreeMap::new();
        let pods = Pods::new(&self.snapshot.pods);
        for name in local {
            let Some(pod) = pods.named(&name.namespace, &name.name) else {
                continue;
            };
            let group = self.of_pod(&pod.meta);
            if group.name != ANYONE {
                members.insert(name.clone(), group.name.clone());
            }
            groups.entry(group.name.clone()).or_insert(group);
        }
        (groups, members)
    }

    fn of_anyone(&self) -> Group<'s> {
        let sidecar = self.sidecars.of_root();
        let (outbound, rule) = self.mesh.for_sidecar(sidecar);
        let annotated = sidecar.and_then(|object| Strictness::of(&object.meta));
        let strictness = annotated.or(self.mesh.strictness);
        Group {
            name: ANYONE.to_owned(),
            namespace: None,
            sidecar,
            mode: mode(outbound, strictness),
            rule,
        }
    }

    /// The nearest says how strict: the pod, its Sidecar, its namespace, the mesh.
    fn of_pod(&self, meta: &'s Meta) -> Group<'s> {
        let namespace = meta.namespace.as_str();
        let sidecar = self.sidecars.of(namespace, Some(&meta.labels));
        let (outbound, rule) = self.mesh.for_sidecar(sidecar);
        let strictness = Strictness::of(meta)
            .or_else(|| Strictness::of(&sidecar?.meta))
            .or_else(|| self.strictness.get(namespace).copied())
            .or(self.mesh.strictness);
        let mode = mode(outbound, strictness);
        let asked = self.named.contains(namespace)
            || sidecar.is_some_and(|object| sidecars::asks_namespace(object));
        // Whoever may reach everything needs no more to be told apart.
        let asked = asked && mode != Mode::Open;
        let anyone = self.of_anyone();
        let is_same = |a: &Arc<_>, b: &Arc<_>| Arc::ptr_eq(a, b);
        let same_sidecar = match (sidecar, anyone.sidecar) {
            (Some(a), Some(b)) => is_same(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let mut parts = Vec::new();
        if !same_sidecar && let Some(object) = sidecar {
            parts.push(format!(
                "sidecar={}/{}",
                object.meta.namespace, object.meta.name
            ));
        }
        if asked {
            parts.push(format!("namespace={namespace}"));
        }
        if mode != anyone.mode {
            parts.push(format!("mode={}", mode.name()));
        }
        let name = if parts.is_empty() {
            ANYONE.to_owned()
        } else {
            parts.join(";")
        };
        Group {
            name,
            namespace: asked.then_some(namespace),
            sidecar,
            mode,
            rule,
        }
    }
}
