//! Who may see a resource: `exportTo`.

use std::collections::BTreeSet;

use crate::source::{core::Service, object::Object};

/// The annotation that says to whom a Service is exported.
pub const SERVICE_ANNOTATION: &str = "networking.istio.io/exportTo";

/// Who sees a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// All namespaces, and clients of which none is known.
    Everyone,
    /// The clients of these; nobody if there are none.
    Namespaces(BTreeSet<String>),
}

impl Visibility {
    /// From an `exportTo` list of a resource in `own`. Nothing in it means everyone, `.` its own
    /// namespace, `*` everyone, `~` nobody.
    pub fn new<'e>(export_to: impl IntoIterator<Item = &'e str>, own: &str) -> Self {
        let mut namespaces = BTreeSet::new();
        let mut empty = true;
        for entry in export_to {
            empty = false;
            match entry {
                "*" => return Self::Everyone,
                "~" => {}
                "." => {
                    namespaces.insert(own.to_owned());
                }
                namespace => {
                    namespaces.insert(namespace.to_owned());
                }
            }
        }
        if empty {
            Self::Everyone
        } else {
            Self::Namespaces(namespaces)
        }
    }

    /// Of a Service, by its annotation.
    pub fn of_service(object: &Object<Service>) -> Self {
        let text = object
            .meta
            .annotations
            .get(SERVICE_ANNOTATION)
            .map_or("", String::as_str);
        Self::new(
            text.split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty()),
            &object.meta.namespace,
        )
    }

    /// Whether nobody outside `own` sees it.
    pub fn is_private(&self, own: &str) -> bool {
        match self {
            Self::Everyone => false,
            Self::Namespaces(namespaces) => namespaces.iter().all(|namespace| namespace == own),
        }
    }

    /// Whether all who see `other` see this too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everyone, _) => true,
            (Self::Namespaces(_), Self::Everyone) => false,
            (Self::Namespaces(mine), Self::Namespaces(others)) => mine.is_superset(others),
        }
    }

    /// Whether somebody sees both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everyone, Self::Everyone) => true,
            (Self::Everyone, Self::Namespaces(some)) | (Self::Namespaces(some), Self::Everyone) => {
                !some.is_empty()
            }
            (Self::Namespaces(a), Self::Namespaces(b)) => !a.is_disjoint(b),
        }
    }

    /// Whether a client of `namespace` sees it; a client without one sees what everyone sees.
    pub fn includes(&self, namespace: Option<&str>) -> bool {
        match self {
            Self::Everyone => true,
            Self::Namespaces(namespaces) => {
                namespace.is_some_and(|namespace| namespaces.contains(namespace))
            }
        }
    }

    /// The namespaces it names.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Everyone => None,
            Self::Namespaces(namespaces) => Some(namespaces),
        }
        .into_iter()
        .flatten()
        .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&str]) -> Visibility {
        Visibility::new(entries.iter().copied(), "shop")
    }

    #[test]
    fn nothing_and_star_are_everyone() {
        assert_eq!(of(&[]), Visibility::Everyone);
        assert_eq!(of(&["a", "*"]), Visibility::Everyone);
        assert!(of(&[]).includes(None));
    }

    #[test]
    fn dot_is_the_own_namespace() {
        let dot = of(&["."]);
        assert!(dot.includes(Some("shop")) && !dot.includes(Some("other")) && !dot.includes(None));
        assert!(dot.is_private("shop") && of(&["shop"]).is_private("shop"));
        assert!(!of(&[".", "a"]).is_private("shop"));
    }

    #[test]
    fn tilde_is_nobody() {
        assert!(!of(&["~"]).includes(Some("shop")));
    }

    #[test]
    fn covering_and_overlapping() {
        assert!(of(&[]).covers(&of(&["a"])) && !of(&["a"]).covers(&of(&[])));
        assert!(of(&["a", "b"]).covers(&of(&["a"])) && !of(&["a"]).covers(&of(&["a", "b"])));
        assert!(of(&["a"]).overlaps(&of(&["a", "c"])) && !of(&["a"]).overlaps(&of(&["c"])));
        assert!(of(&[]).overlaps(&of(&["c"])) && !of(&[]).overlaps(&of(&["~"])));
    }
}
