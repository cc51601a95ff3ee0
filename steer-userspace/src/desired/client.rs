//! Who asks: what rules may depend on.

use std::collections::BTreeMap;

/// A client, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its namespace; `None` for a client that is not known.
    pub namespace: Option<&'a str>,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// No labels.
pub static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl Client<'static> {
    /// A client that is not known: it sees what is exported to everyone.
    pub const ANYONE: Self = Self {
        namespace: None,
        labels: &NO_LABELS,
    };
}

impl Client<'_> {
    /// Whether it has all of `labels`.
    pub fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        selects(labels, self.labels)
    }
}

/// Whether `labels` has everything that `selector` asks for.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
