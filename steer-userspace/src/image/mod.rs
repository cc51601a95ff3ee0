//! What every map will hold, by name: routes, destinations and endpoints without row numbers.
//! Knows nothing of Istio. Row numbers come with the plan, which knows what is live.

pub mod canary;
mod compile;
pub mod edge;
pub mod egress;
mod model;

pub use compile::{Compiler, Node, compile, key};
pub use egress::Egress;
pub use model::{Destination, DestinationName, Image, Route, ServiceName, Source};
