//! What was written: text or cluster objects become one typed `Snapshot`.

pub mod cluster;
pub mod core;
pub mod document;
pub mod files;
pub mod host;
pub mod istio;
pub mod kinds;
pub mod kubernetes;
mod metadata;
pub mod object;
pub mod parse;
pub mod rules;
mod scalar;
pub mod snapshot;
pub mod subnet;
mod tree;
mod typed;
pub mod validate;

pub use object::{Meta, Object, Place};
pub use snapshot::Snapshot;
