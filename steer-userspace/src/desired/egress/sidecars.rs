//! Which Sidecar a workload has, and what of the registry it shows.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    desired::client::{Labels, contains},
    source::{Object, host::covers, istio::Sidecar},
};

/// All Sidecars, by namespace.
#[derive(Debug, Default)]
pub(super) struct Sidecars<'s> {
    by_namespace: BTreeMap<&'s str, Vec<&'s Arc<Object<Sidecar>>>>,
    root: &'s str,
}

impl<'s> Sidecars<'s> {
    /// Sorts Sidecars in, which are in Istio's order.
    pub(super) fn new(all: &'s [Arc<Object<Sidecar>>], root: &'s str) -> Self {
        let mut by_namespace: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for object in all {
            let of = by_namespace.entry(object.meta.namespace.as_str());
            of.or_default().push(object);
        }
        Self { by_namespace, root }
    }

    /// The one of a workload: the oldest that selects it, else the namespace's, else the root's.
    pub(super) fn of(
        &self,
        namespace: &str,
        labels: Option<&Labels>,
    ) -> Option<&'s Arc<Object<Sidecar>>> {
        let own = self.by_namespace.get(namespace);
        let own = own.map(Vec::as_slice).unwrap_or_default();
        let selected = own.iter().find(|object| {
            selector(object)
                .is_some_and(|wanted| labels.is_some_and(|labels| contains(labels, wanted)))
        });
        let general = |some: &[&'s Arc<Object<Sidecar>>]| {
            let mut all = some.iter();
            all.find(|object| selector(object).is_none()).copied()
        };
        selected
            .copied()
            .or_else(|| general(own))
            .or_else(|| self.of_root())
    }

    /// The one of workloads nobody knows.
    pub(super) fn of_root(&self) -> Option<&'s Arc<Object<Sidecar>>> {
        let root = self.by_namespace.get(self.root)?;
        root.iter()
            .find(|object| selector(object).is_none())
            .copied()
    }

    /// Those that never hold: of the same workloads an older one decides.
    pub(super) fn idle(&self) -> Vec<(&'s Arc<Object<Sidecar>>, &'s Arc<Object<Sidecar>>)> {
        let mut idle = Vec::new();
        for all in self.by_namespace.values() {
            for (index, object) in all.iter().enumerate() {
                let older = &all[..index];
                let same = older
                    .iter()
                    .find(|older| selector(older) == selector(object));
                idle.extend(same.map(|same| (*object, *same)));
            }
        }
        idle
    }
}

/// The workloads that a Sidecar selects; none are all of its namespace.
pub(super) fn selector(object: &Object<Sidecar>) -> Option<&Labels> {
    let selector = object.spec.workload_selector.as_ref()?;
    (!selector.labels.is_empty()).then_some(&selector.labels)
}

/// Whether what a Sidecar shows depends on where the workload is.
pub(super) fn asks_namespace(object: &Object<Sidecar>) -> bool {
    let hosts = object.spec.egress.iter().flat_map(|one| &one.hosts);
    hosts.into_iter().any(|host| host.starts_with("./"))
}

/// Whether a port of a host is shown to workloads of `namespace`; without `egress` all are.
pub(super) fn shows(
    object: &Object<Sidecar>,
    namespace: Option<&str>,
    host: (&str, &str),
    port: u16,
) -> bool {
    let (owner, name) = host;
    let fits = |text: &String| {
        let Some((scope, pattern)) = text.split_once('/') else {
            return false;
        };
        let pattern = pattern.to_ascii_lowercase();
        let scope_fits = match scope {
            "*" => true,
            "." => namespace == Some(owner),
            "~" => false,
            scope => scope == owner,
        };
        scope_fits && (covers(&pattern, name) || covers(name, &pattern) && name.starts_with('*'))
    };
    let egress = &object.spec.egress;
    egress.is_empty()
        || egress.iter().any(|listener| {
            let number = listener.port.as_ref().map(|port| port.number);
            number.is_none_or(|number| number == u32::from(port)) && listener.hosts.iter().any(fits)
        })
}
