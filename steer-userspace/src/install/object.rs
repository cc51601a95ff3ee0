//! Which object a document is, and where the API server keeps its kind.

use std::fmt;

use serde_json::Value;

/// Where objects of a kind are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The kind.
    pub kind: &'static str,
    /// The group of the API; empty for the core's.
    pub group: &'static str,
    /// How a path names it.
    pub plural: &'static str,
}

/// Everything that the manifests hold; each at version v1.
const PLACES: [Place; 7] = [
    place("Namespace", "", "namespaces"),
    place("ServiceAccount", "", "serviceaccounts"),
    place("ClusterRole", RBAC, "clusterroles"),
    place("ClusterRoleBinding", RBAC, "clusterrolebindings"),
    place("Role", RBAC, "roles"),
    place("RoleBinding", RBAC, "rolebindings"),
    place("DaemonSet", "apps", "daemonsets"),
];
const RBAC: &str = "rbac.authorization.k8s.io";

const fn place(kind: &'static str, group: &'static str, plural: &'static str) -> Place {
    Place {
        kind,
        group,
        plural,
    }
}

/// An object's kind and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Where its kind is.
    pub place: Place,
    /// Its namespace, if it is in one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Identity {
    /// That of a document; none if its kind is not one that steer installs.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind")?;
        Some(Self {
            place: *PLACES.iter().find(|place| place.kind == kind)?,
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name")?.to_owned(),
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.place.kind, self.name),
            None => write!(f, "{} {}", self.place.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::{Options, agent, unload};

    /// Whatever the manifests hold can be put to a server.
    #[test]
    fn every_object_is_known_by_kind_and_name() {
        let mut objects = agent(&Options::default()).unwrap();
        objects.extend(unload(&Options::default()).unwrap());
        let names: Vec<String> = objects
            .iter()
            .map(|object| Identity::of(object).unwrap().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "Namespace steer-system",
                "ServiceAccount steer-system/steer",
                "ClusterRole steer",
                "ClusterRoleBinding steer",
                "Role istio-system/steer",
                "Role steer-system/steer-feedback",
                "RoleBinding istio-system/steer",
                "RoleBinding steer-system/steer-feedback",
                "DaemonSet steer-system/steer",
                "DaemonSet steer-system/steer-unload",
            ]
        );
        for object in &objects {
            let place = Identity::of(object).unwrap().place;
            let version = object["apiVersion"].as_str().unwrap();
            assert_eq!(
                version,
                [place.group, "v1"].join("/").trim_start_matches('/')
            );
        }
    }
}
