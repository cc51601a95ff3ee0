//! Resources of cases, read as steer reads files.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use steer::{
    finding::{Finding, Severity},
    source::{
        Meta, Object, Place, Snapshot,
        parse::{Parsed, parse_value},
    },
};

/// What reading resources gave.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) objects: Vec<Parsed>,
    pub(crate) findings: Vec<Finding>,
}

impl Read {
    /// Reads resources from values.
    pub(crate) fn values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut read = Self::default();
        for value in values {
            let parsed = parse_value(value.clone(), &place(), &mut read.findings);
            read.objects.extend(parsed);
        }
        read
    }

    /// A kind, or another thing, that steer says it does not enforce yet.
    pub(crate) fn unread(&self) -> Option<String> {
        let mut findings = self.findings.iter();
        findings
            .find(|finding| finding.code == "STR0201")
            .map(|finding| finding.message.clone())
    }

    /// Messages of findings at error level about fields that begin with `part`.
    pub(crate) fn errors(&self, part: &str) -> Vec<String> {
        self.at(Severity::Error, part)
    }

    /// Messages of warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.at(Severity::Warning, "")
    }

    fn at(&self, severity: Severity, part: &str) -> Vec<String> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity && finding.field.starts_with(part))
            .map(|finding| format!("{} {}", finding.code, finding.message))
            .collect()
    }

    /// As one configuration.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::from_objects(self.objects.iter().cloned(), self.findings.clone())
    }
}

/// The resources of a list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A resource that is typed but not validated: some tables leave out what their tests do not need.
pub(crate) fn unchecked<T: DeserializeOwned>(value: &Value) -> Result<Arc<Object<T>>> {
    let text = |field: &str| {
        value["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let spec = T::deserialize(&value["spec"]).context("the spec is not of its kind")?;
    Ok(Arc::new(Object {
        meta: Meta {
            name: text("name"),
            namespace: text("namespace"),
            ..Meta::default()
        },
        spec,
        place: place(),
    }))
}

fn place() -> Place {
    Place {
        file: "case".into(),
        fields: Arc::new(BTreeMap::new()),
    }
}
