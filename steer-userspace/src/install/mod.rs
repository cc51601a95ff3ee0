//! steer on a cluster: the objects that `deploy/` holds, with other names, put to an API server and taken
//! from it.

mod manifest;
mod object;
pub mod server;

pub use manifest::{ManifestError, Options, agent, text, unload};
pub use object::{Identity, Place};
