//! An object of the configuration: its metadata, its typed spec, and where it stands.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::finding::{ObjectRef, Position};

/// The namespace of an object that names none, as `kubectl apply` has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What every object has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its namespace; empty for kinds without one.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was created; objects without it count as created at the epoch, so they are oldest.
    pub created: jiff::Timestamp,
    /// Who made it, if somebody did.
    pub controller: Option<Controller>,
}

/// Who made an object, and sees to it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Controller {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// One object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object<T> {
    /// Its metadata.
    pub meta: Meta,
    /// Its content.
    pub spec: T,
    /// Where it stands.
    pub place: Place,
}

impl<T: Kind> Object<T> {
    /// How findings name it.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: T::KIND.to_owned(),
            namespace: self.meta.namespace.clone(),
            name: self.meta.name.clone(),
        }
    }

    /// Istio's order of resources: the oldest first, then by namespace and name.
    pub fn age_key(&self) -> (jiff::Timestamp, &str, &str) {
        (self.meta.created, &self.meta.namespace, &self.meta.name)
    }
}

/// A pod, or another workload that has an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The kind of a spec.
pub trait Kind {
    /// As `kind:` spells it.
    const KIND: &'static str;
}

/// Where an object stands, and each of its fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file, as it was named to steer; or where else the object came from.
    pub file: Arc<str>,
    /// Line and column of each field by its path (`spec.http[0].route[1].weight`); "" is the
    /// object itself. Empty for objects that have no text.
    pub fields: Arc<BTreeMap<String, (u32, u32)>>,
}

impl Place {
    /// The position of `field`, or of the nearest enclosing field that has one.
    pub fn position(&self, field: &str) -> Position {
        let mut path = field;
        loop {
            if let Some(&(line, column)) = self.fields.get(path) {
                return Position {
                    file: Arc::clone(&self.file),
                    line,
                    column,
                };
            }
            if path.is_empty() {
                return Position {
                    file: Arc::clone(&self.file),
                    line: 0,
                    column: 0,
                };
            }
            path = path.rfind(['.', '[']).map_or("", |end| &path[..end]);
        }
    }
}
