//! What every map will hold, by name: routes, destinations and endpoints without row numbers.
//! Knows nothing of Istio. Row numbers come with the plan, which knows what is live.

mod compile;
mod model;

pub use compile::{Compiler, compile};
pub use model::{Destination, DestinationName, Image, Route, ServiceName, Source};
