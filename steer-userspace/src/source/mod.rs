//! What was written: text or cluster objects become one typed `Snapshot`.

pub mod core;
pub mod istio;
pub mod object;
pub mod snapshot;

pub use object::{Meta, Object, Place};
pub use snapshot::Snapshot;
