//! Endpoints come and go all the time, and nothing else with them: then only the services whose slices
//! changed are looked at.

use std::{collections::BTreeSet, sync::Arc};

use super::{Registry, make};
use crate::{
    desired::{change::Difference, host, pods::Pods},
    source::{
        Object, Snapshot,
        core::{EndpointSlice, SERVICE_NAME_LABEL},
    },
};

type Slice = Arc<Object<EndpointSlice>>;

impl Registry {
    /// Takes over slices, where nothing else changed. Returns the names of services that did with them.
    pub(super) fn update_slices(&mut self, snapshot: &Snapshot, domain: &str) -> BTreeSet<String> {
        let old = std::mem::take(&mut self.written.slices);
        let found = Difference::new(&old, &snapshot.endpoint_slices, key);
        let pods = Pods::new(&snapshot.pods);
        let services: BTreeSet<_> = found.all().filter_map(service).collect();
        let changed = services.into_iter().filter_map(|(namespace, service)| {
            let name = host::full_name(service, namespace, domain);
            let here = |slice: &&&Slice| self::service(slice) == Some((namespace, service));
            self.resliced(
                &name,
                found.removed.iter().filter(here).copied(),
                found.added.iter().filter(here).copied(),
                &pods,
            )
            .then_some(name)
        });
        let changed = changed.collect();
        self.written.slices.clone_from(&snapshot.endpoint_slices);
        changed
    }

    /// Makes a service without some slices and with others; true if it is otherwise than before.
    fn resliced<'s>(
        &mut self,
        name: &str,
        removed: impl Iterator<Item = &'s Slice>,
        added: impl Iterator<Item = &'s Slice>,
        pods: &Pods<'_>,
    ) -> bool {
        // Slices of a service that is not there are no endpoints of anything.
        let Some(host) = self.hosts.get(name).map(Arc::clone) else {
            return false;
        };
        let Some(object) = host.origin.service() else {
            return false;
        };
        let slices = self.slices.entry(name.to_owned()).or_default();
        let gone: Vec<&Slice> = removed.collect();
        slices.retain(|slice| !gone.iter().any(|gone| Arc::ptr_eq(gone, slice)));
        slices.extend(added.cloned());
        slices.sort_by(|a, b| key(a).cmp(&key(b)));
        let (addresses, lost) = (host.addresses.clone(), host.lost.clone());
        let made = make(object, name.to_owned(), addresses, lost, slices, pods);
        let differs = !host.says_the_same(&made);
        if differs {
            self.hosts.insert(name.to_owned(), Arc::new(made));
        }
        differs
    }
}

/// By what snapshots order slices.
fn key(slice: &Slice) -> (&str, &str) {
    (&slice.meta.namespace, &slice.meta.name)
}

/// Namespace and name of the service whose endpoints are in it.
fn service(slice: &Slice) -> Option<(&str, &str)> {
    let name = slice.meta.labels.get(SERVICE_NAME_LABEL)?;
    Some((&slice.meta.namespace, name))
}
