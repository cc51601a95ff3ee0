//! Pods by name, by address, and by label.

use std::{cell::OnceCell, collections::HashMap, net::IpAddr, sync::Arc};

use super::client::{Labels, contains};
use crate::source::{core::Pod, object::Object};

type PodObject = Arc<Object<Pod>>;
/// A namespace, and a label's name and value.
type Label<'s> = (&'s str, &'s str, &'s str);

/// The pods of a snapshot, which has them by namespace and name. The other indices are built when
/// a configuration needs them.
#[derive(Debug)]
pub(super) struct Pods<'s> {
    all: &'s [PodObject],
    by_address: OnceCell<HashMap<IpAddr, &'s PodObject>>,
    by_label: OnceCell<HashMap<Label<'s>, Vec<&'s PodObject>>>,
}

impl<'s> Pods<'s> {
    pub(super) fn new(all: &'s [PodObject]) -> Self {
        Self {
            all,
            by_address: OnceCell::new(),
            by_label: OnceCell::new(),
        }
    }

    /// The pod of that name.
    pub(super) fn named(&self, namespace: &str, name: &str) -> Option<&'s PodObject> {
        let wanted = (namespace, name);
        let found = self.all.binary_search_by(|pod| key(pod).cmp(&wanted));
        found.ok().map(|index| &self.all[index])
    }

    /// The pod that has this address for itself.
    pub(super) fn at(&self, address: IpAddr) -> Option<&'s PodObject> {
        let index = self.by_address.get_or_init(|| {
            let own = self.all.iter().filter(|pod| !pod.spec.host_network);
            let alive = own.filter(|pod| is_alive(pod));
            let mut index = HashMap::new();
            for pod in alive {
                for address in pod.spec.addresses() {
                    index.entry(address).or_insert(pod);
                }
            }
            index
        });
        index.get(&address).copied()
    }

    /// The pods of `namespace` that a Service's selector takes, by name.
    pub(super) fn selected(&self, namespace: &str, selector: &Labels) -> Vec<&'s PodObject> {
        let Some((key, value)) = selector.first_key_value() else {
            return Vec::new();
        };
        let index = self.by_label.get_or_init(|| {
            let mut index: HashMap<_, Vec<_>> = HashMap::new();
            for pod in self.all {
                for (key, value) in &pod.meta.labels {
                    let at = (pod.meta.namespace.as_str(), key.as_str(), value.as_str());
                    index.entry(at).or_default().push(pod);
                }
            }
            index
        });
        let some = index.get(&(namespace, key.as_str(), value.as_str()));
        let all = some.into_iter().flatten().copied();
        all.filter(|pod| contains(&pod.meta.labels, selector))
            .collect()
    }
}

/// By what snapshots order pods.
pub(super) fn key(pod: &PodObject) -> (&str, &str) {
    (&pod.meta.namespace, &pod.meta.name)
}

/// Whether its containers have not ended for good.
pub(super) fn is_alive(pod: &Object<Pod>) -> bool {
    !matches!(
        pod.spec.status.phase.as_deref(),
        Some("Succeeded" | "Failed")
    )
}
