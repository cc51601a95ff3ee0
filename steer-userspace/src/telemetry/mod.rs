//! What is counted of traffic, under the names and labels that Istio gave them, and of steer itself.
//!
//! ```text
//! records of connections  ->              labels (Edge)  ->  counters  ->  text of /metrics
//! outcomes of requests        Directory                      Store         graph as JSON
//! ```
//!
//! Functions of their input: who reads the kernel's rings and clocks, and who answers scrapes, is
//! `control`.

mod counted;
mod directory;
mod edge;
mod exact;
mod exposition;
mod graph;
mod histogram;
mod meter;
mod own;
mod recent;
mod refused;
mod registry;
mod store;
mod tracked;
mod workload;

pub use counted::{Amount, Counted, Outcome, SERIES_MAX};
pub use directory::{Directory, Service};
pub use edge::{Asked, Edge, LABELS, Protocol, Reporter};
pub use exact::split_error;
pub use exposition::Scrape;
pub use graph::{Graph, Led, Node, Picture, Refused, Routed, Ruled, Ruling, Told, Traffic, Window};
pub use histogram::Histogram;
pub use meter::Meter;
pub use own::{Fill, Kept, Standing};
pub use recent::Recent;
pub use refused::Target;
pub use registry::{ALL, Kind, Metric};
pub use store::{Requests, Store, Tcp};
pub use workload::Workload;
