//! steer reads Istio and Kubernetes resources and keeps the kernel's maps as they ask.
//!
//! One pipeline, pure until its last step:
//!
//! ```text
//! source    ->  desired        ->  image             ->  plan       ->  kernel
//! what was      what it means:     what every map        ordered        the maps,
//! written       services, routes,  will hold, row        steps from     links and
//! (files)       findings           by row                live to wanted pins
//! ```
//!
//! `source` (but for its edge `files`), `desired` and `image` are functions of their input: no
//! clock, no I/O, no aya. `kernel` is the only module that imports aya. `control` wires them. `install` puts
//! steer on a cluster.

pub mod access_log;
pub mod certificates;
pub mod cli;
pub mod control;
pub mod dashboard;
pub mod desired;
pub mod feedback;
pub mod finding;
mod http_server;
pub mod image;
pub mod install;
pub mod kernel;
pub mod live;
pub mod node;
pub mod plan;
pub mod proxy;
pub mod requests;
pub mod source;
pub mod telemetry;
