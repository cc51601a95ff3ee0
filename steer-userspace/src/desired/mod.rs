//! What the configuration means: services, their routes as each class of client sees them,
//! findings. Knows nothing of maps.

pub mod model;

pub use model::Desired;
