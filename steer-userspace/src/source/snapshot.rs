//! Everything that was read, typed, in a deterministic order.

use super::{
    core::{EndpointSlice, Namespace, Pod, Service},
    istio::{DestinationRule, VirtualService},
    object::Object,
};
use crate::finding::Finding;

/// The whole configuration as it was written.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Namespaces, by name.
    pub namespaces: Vec<Object<Namespace>>,
    /// Services, by namespace and name.
    pub services: Vec<Object<Service>>,
    /// Endpoint slices, by namespace and name.
    pub endpoint_slices: Vec<Object<EndpointSlice>>,
    /// Pods, by namespace and name.
    pub pods: Vec<Object<Pod>>,
    /// Virtual services, in Istio's order: oldest first.
    pub virtual_services: Vec<Object<VirtualService>>,
    /// Destination rules, in Istio's order: oldest first.
    pub destination_rules: Vec<Object<DestinationRule>>,
    /// What was found while reading.
    pub findings: Vec<Finding>,
}
