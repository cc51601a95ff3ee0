//! Namespace: only its metadata is read.

use serde::Deserialize;

use crate::source::object::Kind;

/// A namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct Namespace {}

impl Kind for Namespace {
    const KIND: &'static str = "Namespace";
}
