//! Everything that was read, typed, in a deterministic order.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    core::{EndpointSlice, Namespace, Pod, Service},
    istio::{DestinationRule, VirtualService},
    object::{Object, PodRef},
    parse::Parsed,
};
use crate::finding::{Finding, Severity};

/// The whole configuration as it was written. Objects are shared with earlier snapshots.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Namespaces, by name.
    pub namespaces: Vec<Arc<Object<Namespace>>>,
    /// Services, by namespace and name.
    pub services: Vec<Arc<Object<Service>>>,
    /// Endpoint slices, by namespace and name.
    pub endpoint_slices: Vec<Arc<Object<EndpointSlice>>>,
    /// Pods, by namespace and name.
    pub pods: Vec<Arc<Object<Pod>>>,
    /// Virtual services, in Istio's order: oldest first.
    pub virtual_services: Vec<Arc<Object<VirtualService>>>,
    /// Destination rules, in Istio's order: oldest first.
    pub destination_rules: Vec<Arc<Object<DestinationRule>>>,
    /// What was found while reading.
    pub findings: Vec<Finding>,
}

impl Snapshot {
    /// Sorts objects into a snapshot. The second object of a name is refused.
    pub fn from_objects(objects: impl IntoIterator<Item = Parsed>, findings: Vec<Finding>) -> Self {
        let mut objects: Vec<Parsed> = objects.into_iter().collect();
        // Stable, and quick on what is sorted file by file: the first object of a name stays.
        objects.sort_by(|a, b| a.name_key().cmp(&b.name_key()));
        let mut snapshot = Self {
            findings,
            ..Self::default()
        };
        let mut last: Option<Parsed> = None;
        for object in objects {
            match &last {
                Some(first) if first.name_key() == object.name_key() => {
                    snapshot.findings.push(twice(&object, first));
                }
                Some(_) | None => {
                    snapshot.add(object.clone());
                    last = Some(object);
                }
            }
        }
        snapshot
            .virtual_services
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        snapshot
            .destination_rules
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        snapshot.findings.sort();
        snapshot.findings.dedup();
        snapshot
    }

    fn add(&mut self, object: Parsed) {
        match object {
            Parsed::Namespace(object) => self.namespaces.push(object),
            Parsed::Service(object) => self.services.push(object),
            Parsed::EndpointSlice(object) => self.endpoint_slices.push(object),
            Parsed::Pod(object) => self.pods.push(object),
            Parsed::VirtualService(object) => self.virtual_services.push(object),
            Parsed::DestinationRule(object) => self.destination_rules.push(object),
        }
    }

    /// The pods that have addresses of their own, by address. Pods of the host's network have not.
    pub fn pod_addresses(&self) -> BTreeMap<IpAddr, PodRef> {
        let mut addresses = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| !pod.spec.host_network) {
            let name = PodRef {
                namespace: pod.meta.namespace.clone(),
                name: pod.meta.name.clone(),
            };
            for address in pod.spec.addresses() {
                addresses.entry(address).or_insert_with(|| name.clone());
            }
        }
        addresses
    }
}

fn twice(second: &Parsed, first: &Parsed) -> Finding {
    let reference = second.reference();
    Finding {
        severity: Severity::Error,
        code: "STR0103",
        message: format!(
            "{reference} is there already, at {}",
            first.place().position("")
        ),
        object: Some(reference),
        position: Some(second.place().position("")),
        field: "metadata.name".to_owned(),
        help: "remove one of the two".to_owned(),
    }
}
