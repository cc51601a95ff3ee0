//! Everything that was read, typed, in a deterministic order.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    core::{EndpointSlice, Namespace, Node, Pod, Secret, Service},
    istio::{
        DestinationRule, Gateway, MeshConfig, ServiceEntry, Sidecar, Telemetry, VirtualService,
        WorkloadEntry,
    },
    object::{Kind, Object, PodRef},
    parse::Parsed,
};
use crate::finding::{Finding, Position, Severity, codes};

/// The whole configuration as it was written. Objects are shared with earlier snapshots.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Namespaces, by name.
    pub namespaces: Vec<Arc<Object<Namespace>>>,
    /// Nodes, by name.
    pub nodes: Vec<Arc<Object<Node>>>,
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
    /// Service entries, in Istio's order: oldest first.
    pub service_entries: Vec<Arc<Object<ServiceEntry>>>,
    /// Workload entries, by namespace and name.
    pub workload_entries: Vec<Arc<Object<WorkloadEntry>>>,
    /// Sidecars, in Istio's order: oldest first.
    pub sidecars: Vec<Arc<Object<Sidecar>>>,
    /// Telemetries, in Istio's order: oldest first.
    pub telemetries: Vec<Arc<Object<Telemetry>>>,
    /// Gateways, in Istio's order: oldest first.
    pub gateways: Vec<Arc<Object<Gateway>>>,
    /// Secrets, by namespace and name.
    pub secrets: Vec<Arc<Object<Secret>>>,
    /// The mesh's configuration, wherever it stands, by namespace and name.
    pub mesh_configs: Vec<Arc<Object<MeshConfig>>>,
    /// What was found while reading.
    pub findings: Vec<Finding>,
}

impl Snapshot {
    /// Sorts objects into a snapshot. The second object of a name is refused.
    pub fn from_objects(objects: impl IntoIterator<Item = Parsed>, findings: Vec<Finding>) -> Self {
        Self::default().replaced(std::iter::empty(), objects, findings)
    }

    /// This snapshot without some of its objects, and with others. Kinds of which nothing is
    /// removed or added cost nothing but a copy of their pointers.
    #[must_use]
    pub fn replaced(
        &self,
        removed: impl IntoIterator<Item = Parsed>,
        added: impl IntoIterator<Item = Parsed>,
        findings: Vec<Finding>,
    ) -> Self {
        let (removed, added) = (grouped(removed), grouped(added));
        let mut found = findings;
        let mut new = Self {
            namespaces: merged(
                &self.namespaces,
                &removed.namespaces,
                added.namespaces,
                &mut found,
            ),
            nodes: merged(&self.nodes, &removed.nodes, added.nodes, &mut found),
            services: merged(
                &self.services,
                &removed.services,
                added.services,
                &mut found,
            ),
            endpoint_slices: merged(
                &self.endpoint_slices,
                &removed.endpoint_slices,
                added.endpoint_slices,
                &mut found,
            ),
            pods: merged(&self.pods, &removed.pods, added.pods, &mut found),
            virtual_services: merged(
                &self.virtual_services,
                &removed.virtual_services,
                added.virtual_services,
                &mut found,
            ),
            destination_rules: merged(
                &self.destination_rules,
                &removed.destination_rules,
                added.destination_rules,
                &mut found,
            ),
            service_entries: merged(
                &self.service_entries,
                &removed.service_entries,
                added.service_entries,
                &mut found,
            ),
            workload_entries: merged(
                &self.workload_entries,
                &removed.workload_entries,
                added.workload_entries,
                &mut found,
            ),
            sidecars: merged(
                &self.sidecars,
                &removed.sidecars,
                added.sidecars,
                &mut found,
            ),
            telemetries: merged(
                &self.telemetries,
                &removed.telemetries,
                added.telemetries,
                &mut found,
            ),
            gateways: merged(
                &self.gateways,
                &removed.gateways,
                added.gateways,
                &mut found,
            ),
            secrets: merged(&self.secrets, &removed.secrets, added.secrets, &mut found),
            mesh_configs: merged(
                &self.mesh_configs,
                &removed.mesh_configs,
                added.mesh_configs,
                &mut found,
            ),
            findings: Vec::new(),
        };
        new.virtual_services
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        new.destination_rules
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        new.service_entries
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        new.gateways.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        new.sidecars.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        new.telemetries
            .sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        found.sort();
        found.dedup();
        new.findings = found;
        new
    }

    /// Whether both hold the very same pods.
    pub fn has_pods_of(&self, other: &Self) -> bool {
        self.pods.len() == other.pods.len()
            && self
                .pods
                .iter()
                .zip(&other.pods)
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The pod of that name.
    pub fn pod(&self, name: &PodRef) -> Option<&Arc<Object<Pod>>> {
        let wanted = (name.namespace.as_str(), name.name.as_str());
        let found = self
            .pods
            .binary_search_by(|pod| self::name(pod).cmp(&wanted));
        found.ok().map(|index| &self.pods[index])
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

/// Objects by kind, in the order in which they come.
fn grouped(objects: impl IntoIterator<Item = Parsed>) -> Snapshot {
    let mut groups = Snapshot::default();
    for object in objects {
        match object {
            Parsed::Namespace(object) => groups.namespaces.push(object),
            Parsed::Node(object) => groups.nodes.push(object),
            Parsed::Service(object) => groups.services.push(object),
            Parsed::EndpointSlice(object) => groups.endpoint_slices.push(object),
            Parsed::Pod(object) => groups.pods.push(object),
            Parsed::VirtualService(object) => groups.virtual_services.push(object),
            Parsed::DestinationRule(object) => groups.destination_rules.push(object),
            Parsed::ServiceEntry(object) => groups.service_entries.push(object),
            Parsed::WorkloadEntry(object) => groups.workload_entries.push(object),
            Parsed::Sidecar(object) => groups.sidecars.push(object),
            Parsed::Telemetry(object) => groups.telemetries.push(object),
            Parsed::Gateway(object) => groups.gateways.push(object),
            Parsed::Secret(object) => groups.secrets.push(object),
            Parsed::MeshConfig(object) => groups.mesh_configs.push(object),
        }
    }
    groups
}

/// The objects of `old` that are not `removed`, and those that are `added`, by namespace and name.
fn merged<T: Kind>(
    old: &[Arc<Object<T>>],
    removed: &[Arc<Object<T>>],
    added: Vec<Arc<Object<T>>>,
    found: &mut Vec<Finding>,
) -> Vec<Arc<Object<T>>> {
    if removed.is_empty() && added.is_empty() {
        return old.to_vec();
    }
    let gone: BTreeSet<*const Object<T>> = removed.iter().map(Arc::as_ptr).collect();
    let kept = old
        .iter()
        .filter(|object| !gone.contains(&Arc::as_ptr(object)));
    let mut all: Vec<Arc<Object<T>>> = kept.cloned().chain(added).collect();
    all.sort_by(|a, b| {
        name(a)
            .cmp(&name(b))
            .then_with(|| origin(a).cmp(&origin(b)))
    });
    all.dedup_by(|second, first| {
        let is_twice = name(second) == name(first);
        if is_twice {
            found.push(twice(second, first));
        }
        is_twice
    });
    all
}

fn name<T>(object: &Object<T>) -> (&str, &str) {
    (&object.meta.namespace, &object.meta.name)
}

fn origin<T>(object: &Object<T>) -> Position {
    object.place.position("")
}

fn twice<T: Kind>(second: &Object<T>, first: &Object<T>) -> Finding {
    let reference = second.reference();
    Finding {
        severity: Severity::Error,
        code: codes::DUPLICATE,
        message: format!("{reference} is there already, at {}", origin(first)),
        object: Some(reference),
        position: Some(origin(second)),
        field: "metadata.name".to_owned(),
        help: "remove one of the two".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::parse_text;

    fn objects(file: &str, text: &str) -> Vec<Parsed> {
        let (objects, findings) = parse_text(file, text).unwrap();
        assert_eq!(findings, []);
        objects
    }

    fn service(name: &str) -> String {
        format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n")
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        let services = snapshot.services.iter();
        services.map(|service| service.meta.name.as_str()).collect()
    }

    /// What a snapshot becomes step by step is what it would be made at once.
    #[test]
    fn replacing_is_the_same_as_reading_anew() {
        let (a, b, c) = (service("a"), service("b"), service("c"));
        let first = objects("1.yaml", &format!("{c}{a}"));
        let second = objects("2.yaml", &b);
        let snapshot = Snapshot::from_objects(first.clone(), Vec::new());
        assert_eq!(names(&snapshot), ["a", "c"]);
        let snapshot = snapshot.replaced([first[0].clone()], second.clone(), Vec::new());
        assert_eq!(names(&snapshot), ["a", "b"]);
        let anew = Snapshot::from_objects([second[0].clone(), first[1].clone()], Vec::new());
        assert_eq!(names(&anew), names(&snapshot));
        assert!(Arc::ptr_eq(&snapshot.services[0], &anew.services[0]));
    }

    #[test]
    fn the_second_object_of_a_name_is_named_with_the_first() {
        let twice = objects("1.yaml", &format!("{}{}", service("a"), service("a")));
        let snapshot = Snapshot::from_objects(twice, Vec::new());
        assert_eq!(names(&snapshot), ["a"]);
        let finding = &snapshot.findings[0];
        assert_eq!(finding.code, codes::DUPLICATE);
        assert_eq!(
            finding.message,
            "Service default/a is there already, at 1.yaml:2:1"
        );
        assert_eq!(finding.position.as_ref().map(|place| place.line), Some(6));
    }
}
