//! Collects findings about objects.

use super::codes::Code;
use crate::{
    finding::Finding,
    source::object::{Kind, Object},
};

/// Findings so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) found: Vec<Finding>,
}

impl Report {
    /// Adds a finding about `field` of `object`.
    pub(super) fn add<T: Kind>(
        &mut self,
        object: &Object<T>,
        field: &str,
        code: Code,
        message: impl Into<String>,
        help: &str,
    ) {
        self.found.push(Finding {
            severity: code.severity,
            code: code.id,
            object: Some(object.reference()),
            position: Some(object.place.position(field)),
            field: field.to_owned(),
            message: message.into(),
            help: help.to_owned(),
        });
    }
}
