//! The decision, pure: everything it looks up comes through a trait.

pub mod decide;
pub mod split;

pub use decide::{Decision, Dialled, Maps, Steer, decide};
