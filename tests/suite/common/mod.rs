//! What the suites share that drive the engine in their own process: images made by hand, and a lab
//! whose pods the engine steers.

pub(crate) mod service;
pub(crate) mod stage;
