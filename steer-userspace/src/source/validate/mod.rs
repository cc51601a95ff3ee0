//! What Istio's webhook or an API server would refuse, and what Istio would warn of.
//!
//! Each kind has a function from its metadata and content to a list of problems; parts that cases
//! are written for are public.

pub mod checks;
mod destination_rule;
mod destinations;
mod endpoint_slice;
mod fault;
mod gateway;
mod gateways;
mod headers;
mod http_policy;
mod http_route;
mod l4_route;
mod load_balancer;
pub mod locality;
mod mesh_config;
pub mod names;
mod server_tls;
mod service;
mod service_entry;
mod sidecar;
mod string_match;
mod telemetry;
#[cfg(test)]
mod testing;
mod traffic_policy;
mod virtual_service;

use crate::{
    finding::Finding,
    source::object::{Kind, Meta, Object},
};

pub use checks::{Checks, Problem};
pub use destination_rule::destination_rule;
pub use endpoint_slice::endpoint_slice;
pub use gateway::{gateway, server_port};
pub use mesh_config::mesh_config;
pub use service::service;
pub use service_entry::{service_entry, workload_entry};
pub use sidecar::sidecar;
pub use telemetry::telemetry;
pub use traffic_policy::{client_tls, connection_pool, outlier_detection};
pub use virtual_service::virtual_service;

/// What `check` finds in an object, as findings.
pub fn findings<T: Kind>(object: &Object<T>, check: fn(&Meta, &T) -> Checks) -> Vec<Finding> {
    check(&object.meta, &object.spec).findings(object)
}
