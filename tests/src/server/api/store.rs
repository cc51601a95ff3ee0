//! What an API server keeps: objects by resource, and what happened to them, in order.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::owned::Owners;

/// A resource, and its kind.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
}

impl Resource {
    fn new(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
        }
    }

    pub(super) fn is_namespaced(&self) -> bool {
        !matches!(
            self.plural.as_str(),
            "namespaces" | "clusterroles" | "clusterrolebindings"
        )
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Namespace and name.
pub(super) type Key = (String, String);
type Objects = BTreeMap<Key, Value>;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    plural: String,
    /// ADDED, MODIFIED or DELETED.
    pub(super) kind: &'static str,
    pub(super) object: Value,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    /// What happened up to this version is forgotten.
    compacted: u64,
    resources: Vec<Resource>,
    objects: BTreeMap<String, Objects>,
    /// Who owns what of the objects that were applied.
    owners: BTreeMap<(String, Key), Owners>,
    events: Vec<Event>,
    asked: Vec<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            version: 1,
            compacted: 0,
            resources: vec![
                Resource::new("", "v1", "namespaces", "Namespace"),
                Resource::new("", "v1", "services", "Service"),
                Resource::new("", "v1", "pods", "Pod"),
                Resource::new("", "v1", "configmaps", "ConfigMap"),
                Resource::new("", "v1", "serviceaccounts", "ServiceAccount"),
                Resource::new("apps", "v1", "daemonsets", "DaemonSet"),
                Resource::new(RBAC, "v1", "clusterroles", "ClusterRole"),
                Resource::new(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding"),
                Resource::new(RBAC, "v1", "roles", "Role"),
                Resource::new(RBAC, "v1", "rolebindings", "RoleBinding"),
                Resource::new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
                Resource::new("coordination.k8s.io", "v1", "leases", "Lease"),
                Resource::new("events.k8s.io", "v1", "events", "Event"),
            ],
            objects: BTreeMap::new(),
            owners: BTreeMap::new(),
            events: Vec::new(),
            asked: Vec::new(),
        }
    }
}

/// Which objects are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) namespace: Option<String>,
    /// `metadata.name`.
    pub(super) name: Option<String>,
    /// `spec.nodeName`.
    pub(super) node: Option<String>,
}

impl Wanted {
    fn fits(&self, object: &Value) -> bool {
        let is = |field: &str, wanted: &Option<String>| {
            let found = object.pointer(field).and_then(Value::as_str);
            wanted
                .as_deref()
                .is_none_or(|wanted| found.unwrap_or_default() == wanted)
        };
        is("/metadata/namespace", &self.namespace)
            && is("/metadata/name", &self.name)
            && is("/spec/nodeName", &self.node)
    }
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    pub(super) fn note(&mut self, asked: String) {
        self.asked.push(asked);
    }

    pub(super) fn install_istio(&mut self, version: &str) {
        for (kind, plural) in [
            ("VirtualService", "virtualservices"),
            ("DestinationRule", "destinationrules"),
            ("ServiceEntry", "serviceentries"),
            ("WorkloadEntry", "workloadentries"),
            ("Sidecar", "sidecars"),
            ("Gateway", "gateways"),
        ] {
            let group = "networking.istio.io";
            self.resources
                .push(Resource::new(group, version, plural, kind));
        }
        let security = "security.istio.io";
        for (group, version, plural, kind) in [
            (
                "networking.istio.io",
                "v1alpha3",
                "envoyfilters",
                "EnvoyFilter",
            ),
            ("telemetry.istio.io", "v1", "telemetries", "Telemetry"),
            (
                "extensions.istio.io",
                "v1alpha1",
                "wasmplugins",
                "WasmPlugin",
            ),
            (
                security,
                "v1",
                "authorizationpolicies",
                "AuthorizationPolicy",
            ),
            (security, "v1", "peerauthentications", "PeerAuthentication"),
            (
                security,
                "v1",
                "requestauthentications",
                "RequestAuthentication",
            ),
        ] {
            self.resources
                .push(Resource::new(group, version, plural, kind));
        }
    }

    /// The groups and their versions, as discovery lists them.
    pub(super) fn groups(&self) -> Value {
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for one in self.resources.iter().filter(|one| !one.group.is_empty()) {
            let version = json!({"groupVersion": one.api_version(), "version": one.version});
            let all = groups.entry(&one.group).or_default();
            if !all.contains(&version) {
                all.push(version);
            }
        }
        let groups = groups.into_iter().map(|(name, versions)| {
            json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
        });
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()})
    }

    /// The resource of a path's group, version and plural.
    pub(super) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Resource> {
        let mut found = self.resources.iter();
        found
            .find(|one| one.group == group && one.version == version && one.plural == plural)
            .cloned()
    }

    pub(super) fn put(&mut self, mut value: Value) -> Result<()> {
        let kind = value["kind"].as_str().context("an object's kind")?;
        let resource = self.resources.iter().find(|one| one.kind == kind).cloned();
        let resource = resource.with_context(|| format!("the server does not know {kind}"))?;
        value["apiVersion"] = json!(resource.api_version());
        if resource.is_namespaced() && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!("default");
        }
        // What clients must do without.
        value["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply"}]);
        let key = key(&value)?;
        if let Some(found) = self.get(&resource.plural, &key.0, &key.1) {
            value["metadata"]["uid"] = found["metadata"]["uid"].clone();
            // Whoever writes rules does not write how they fare.
            if value["status"].is_null() && !found["status"].is_null() {
                value["status"] = found["status"].clone();
            }
        }
        self.owners.remove(&(resource.plural.clone(), key.clone()));
        self.keep(&resource.plural, key, value);
        Ok(())
    }

    /// Keeps an object as it is but for its version, and says that it happened.
    pub(super) fn keep(&mut self, plural: &str, key: Key, mut value: Value) -> Value {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let all = self.objects.entry(plural.to_owned()).or_default();
        let kind = match all.insert(key, value.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.happened(plural.to_owned(), kind, value.clone());
        value
    }

    pub(super) fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects.get(plural)?.get(&key)
    }

    /// Resource and name of everything in a namespace.
    pub(super) fn inside(&self, namespace: &str) -> Vec<(String, String)> {
        let all = self.objects.iter();
        all.flat_map(|(plural, objects)| {
            let inside = objects.keys().filter(|(own, _)| own == namespace);
            inside.map(|(_, name)| (plural.clone(), name.clone()))
        })
        .collect()
    }

    pub(super) fn owners(&self, plural: &str, key: &Key) -> Option<&Owners> {
        self.owners.get(&(plural.to_owned(), key.clone()))
    }

    pub(super) fn own(&mut self, plural: &str, key: Key, owners: Owners) {
        self.owners.insert((plural.to_owned(), key), owners);
    }

    /// Removes the object that a document describes.
    pub(super) fn withdraw(&mut self, value: &Value) -> Result<()> {
        let kind = value["kind"].as_str().context("an object's kind")?;
        let resource = self.resources.iter().find(|one| one.kind == kind);
        let plural = resource
            .with_context(|| format!("no {kind}"))?
            .plural
            .clone();
        let (namespace, name) = key(value)?;
        self.delete(&plural, &namespace, &name)
    }

    pub(super) fn delete(&mut self, plural: &str, namespace: &str, name: &str) -> Result<()> {
        let key = (namespace.to_owned(), name.to_owned());
        let all = self.objects.get_mut(plural);
        let Some(mut value) = all.and_then(|all| all.remove(&key)) else {
            bail!("there is no {plural} {namespace}/{name}");
        };
        self.owners
            .remove(&(plural.to_owned(), (namespace.to_owned(), name.to_owned())));
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.happened(plural.to_owned(), "DELETED", value);
        Ok(())
    }

    fn happened(&mut self, plural: String, kind: &'static str, object: Value) {
        self.events.push(Event {
            version: self.version,
            plural,
            kind,
            object,
        });
    }

    pub(super) fn compact(&mut self) {
        // The version goes on: what everybody has is old now.
        self.version += 1;
        self.compacted = self.version;
        self.events.clear();
    }

    pub(super) fn is_gone(&self, version: u64) -> bool {
        version < self.compacted
    }

    /// The objects of a resource that are wanted, in order.
    pub(super) fn list(&self, plural: &str, wanted: &Wanted) -> Vec<&Value> {
        let all = self.objects.get(plural).into_iter().flatten();
        let all = all.map(|(_, object)| object);
        all.filter(|object| wanted.fits(object)).collect()
    }

    /// What happened after a version.
    pub(super) fn since(&self, version: u64, plural: &str, wanted: &Wanted) -> Vec<Event> {
        let events = self.events.iter().filter(|event| {
            event.version > version && event.plural == plural && wanted.fits(&event.object)
        });
        events.cloned().collect()
    }
}

fn key(value: &Value) -> Result<(String, String)> {
    let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
    let name = text("name").context("an object's name")?;
    Ok((text("namespace").unwrap_or_default(), name))
}
