//! What the configuration means: services, their routes as each class of client sees them,
//! findings. Istio's rules of names, visibility and precedence live here. Knows nothing of maps.
//!
//! ```text
//! registry                       services, ports, endpoints       (endpoints, pods, protocol)
//! virtual_services, delegate     rules in the order in which they are asked      (host, export)
//! destination_rules              subsets as clients find them                    (host, export)
//! route                          what one client sees of one port     (client, matching, select)
//! class                          clients for whom that comes to the same
//! egress                         what each pod may reach
//! access_logs                    whose requests have a line written
//! review                         what is not enforced, or names nothing             (unenforced)
//! lower                          all of it, anew only where something changed           (change)
//! ```

mod access_logs;
mod change;
mod class;
pub mod client;
mod codes;
pub mod delegate;
mod dependents;
pub mod destination_rules;
mod destinations;
pub mod egress;
pub mod endpoints;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod gateway;
pub mod host;
mod lower;
pub mod matching;
pub mod model;
mod pods;
pub mod protocol;
pub mod registry;
mod report;
mod review;
pub mod route;
pub mod select;
mod settings;
pub mod unenforced;
pub mod virtual_services;

pub use lower::{Lowering, lower};
pub use model::Desired;
pub use registry::entries::Resolved;
pub use settings::{MirrorHost, Settings, SplitMode};
