//! What the configuration means: services, their routes as each class of client sees them,
//! findings. Istio's rules of names, visibility and precedence live here. Knows nothing of maps.

pub mod class;
pub mod client;
pub mod destination_rules;
pub mod export;
mod lower;
pub mod model;
pub mod registry;
mod review;
pub mod route;
pub mod virtual_services;

use crate::{
    finding::codes,
    source::{host, subnet},
};
pub use lower::{Lowering, lower};
pub use model::Desired;

/// How names are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The domain of the cluster: services are `NAME.NAMESPACE.svc.DOMAIN`.
    pub domain: String,
    /// Istio's root namespace: its rules hold for everyone.
    pub root_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            root_namespace: "istio-system".to_owned(),
        }
    }
}
