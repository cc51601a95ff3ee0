//! Which VirtualService a client of the mesh uses for a host.
//!
//! Of those that are visible to it and bound to the mesh, the most specific host pattern decides;
//! of several with the same pattern the oldest wins whole, they are not merged.

use std::{collections::BTreeMap, sync::Arc};

use super::{client::Client, export, host};
use crate::source::{Object, istio::VirtualService};

/// The name that binds a VirtualService to the mesh.
pub const MESH: &str = "mesh";

/// A VirtualService, as found.
pub type Found = Arc<Object<VirtualService>>;

/// The VirtualServices of the mesh by host pattern, oldest first.
#[derive(Clone, Debug, Default)]
pub struct VirtualServices {
    exact: BTreeMap<String, Vec<Found>>,
    /// Most specific first.
    wildcard: Vec<(String, Vec<Found>)>,
    /// Those without hosts, by namespace and name.
    delegates: BTreeMap<(String, String), Found>,
}

impl VirtualServices {
    /// Sorts them in; `objects` is in Istio's order, oldest first.
    pub fn new(objects: &[Found], domain: &str) -> Self {
        let mut index = Self::default();
        let mut wildcard: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for object in objects {
            if object.spec.hosts.is_empty() {
                let key = (object.meta.namespace.clone(), object.meta.name.clone());
                index.delegates.insert(key, Arc::clone(object));
            }
            if !is_on_mesh(&object.spec.gateways) {
                continue;
            }
            for name in &object.spec.hosts {
                let name = host::qualify(name, &object.meta.namespace, domain).to_ascii_lowercase();
                let map = if name.starts_with('*') {
                    &mut wildcard
                } else {
                    &mut index.exact
                };
                map.entry(name).or_default().push(Arc::clone(object));
            }
        }
        index.wildcard = wildcard.into_iter().collect();
        index
            .wildcard
            .sort_by(|(a, _), (b, _)| host::specificity(a).cmp(&host::specificity(b)));
        index
    }

    /// Those that name `host`, the most specific pattern first, oldest first.
    pub fn of_host<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Found> + 'a {
        let wildcard = self
            .wildcard
            .iter()
            .filter(move |(pattern, _)| host::covers(pattern, name));
        self.exact
            .get(name)
            .into_iter()
            .flatten()
            .chain(wildcard.flat_map(|(_, found)| found))
    }

    /// The one that `client` uses for `host`.
    pub fn find<'a>(&'a self, name: &'a str, client: &Client<'_>) -> Option<&'a Found> {
        self.of_host(name).find(|found| is_visible(found, client))
    }

    /// Host patterns of the mesh that several VirtualServices name.
    pub fn contested(&self) -> impl Iterator<Item = (&String, &[Found])> {
        let exact = self.exact.iter().map(|(name, found)| (name, &found[..]));
        let wildcard = self.wildcard.iter().map(|(name, found)| (name, &found[..]));
        exact.chain(wildcard).filter(|(_, found)| found.len() > 1)
    }

    /// The delegate of a name.
    pub fn delegate(&self, namespace: &str, name: &str) -> Option<&Found> {
        self.delegates.get(&(namespace.to_owned(), name.to_owned()))
    }
}

/// Whether a list of gateways names the mesh; none given means it does.
pub fn is_on_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|name| name == MESH)
}

/// Whether a client sees it.
pub fn is_visible(found: &Object<VirtualService>, client: &Client<'_>) -> bool {
    export::is_visible(
        &found.spec.export_to,
        &found.meta.namespace,
        client.namespace,
    )
}

/// Whether what it means depends on who asks.
pub fn depends_on_client(found: &Object<VirtualService>) -> bool {
    let spec = &found.spec;
    let http = spec.http.iter().flat_map(|rule| &rule.matches);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches);
    let tls = spec.tls.iter().flat_map(|rule| &rule.matches);
    !export::is_public(&spec.export_to)
        || spec.http.iter().any(|rule| rule.delegate.is_some())
        || http
            .into_iter()
            .any(|found| !found.source_labels.is_empty() || found.source_namespace.is_some())
        || tcp
            .into_iter()
            .any(|found| !found.source_labels.is_empty() || found.source_namespace.is_some())
        || tls
            .into_iter()
            .any(|found| !found.source_labels.is_empty() || found.source_namespace.is_some())
}
