//! Kubernetes objects, the part of each that steer reads.

mod endpoint_slice;
mod namespace;
mod node;
mod pod;
mod secret;
mod service;

pub use endpoint_slice::{
    Conditions, EndpointSlice, SERVICE_NAME_LABEL, SliceEndpoint, SlicePort, TargetRef,
};
pub use namespace::Namespace;
pub use node::{Node, NodeAddress, NodeStatus};
pub use pod::{Container, ContainerPort, Pod, PodCondition, PodIp, PodStatus};
pub use secret::Secret;
pub use service::{ClientIpConfig, Service, ServicePort, SessionAffinityConfig, TargetPort};
