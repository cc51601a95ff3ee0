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
    /// Its plural; with the group where another group has the same.
    pub(super) id: String,
}

impl Resource {
    fn new(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        let id = match group {
            GATEWAY_API => format!("{plural}.{group}"),
            _ => plural.to_owned(),
        };
        Self {
            id,
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
        }
    }

    pub(super) fn is_namespaced(&self) -> bool {
        !matches!(
            self.plural.as_str(),
            "namespaces" | "nodes" | "clusterroles" | "clusterrolebindings"
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
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    id: String,
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
                Resource::new("", "v1", "nodes", "Node"),
                Resource::new("", "v1", "services", "Service"),
                Resource::new("", "v1", "pods", "Pod"),
                Resource::new("", "v1", "configmaps", "ConfigMap"),
                Resource::new("", "v1", "secrets", "Secret"),
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

    /// Adds Istio's definitions: the rules in a version, the others in theirs.
    pub(super) fn install_istio(&mut self, version: &str) {
        let rules = [
            ("virtualservices", "VirtualService"),
            ("destinationrules", "DestinationRule"),
            ("serviceentries", "ServiceEntry"),
            ("workloadentries", "WorkloadEntry"),
            ("sidecars", "Sidecar"),
            ("gateways", "Gateway"),
        ];
        let networking = "networking.istio.io";
        for (plural, kind) in rules {
            self.define(networking, version, plural, kind);
        }
        self.define(networking, "v1alpha3", "envoyfilters", "EnvoyFilter");
        self.define(networking, "v1beta1", "proxyconfigs", "ProxyConfig");
        self.define(networking, version, "workloadgroups", "WorkloadGroup");
        self.define("telemetry.istio.io", "v1", "telemetries", "Telemetry");
        let extensions = "extensions.istio.io";
        self.define(extensions, "v1alpha1", "wasmplugins", "WasmPlugin");
        self.define(
            extensions,
            "v1alpha1",
            "trafficextensions",
            "TrafficExtension",
        );
        let security = "security.istio.io";
        self.define(
            security,
            "v1",
            "authorizationpolicies",
            "AuthorizationPolicy",
        );
        self.define(security, "v1", "peerauthentications", "PeerAuthentication");
        self.define(
            security,
            "v1",
            "requestauthentications",
            "RequestAuthentication",
        );
    }

    /// Adds the definitions of the Gateway API.
    pub(super) fn install_gateway_api(&mut self) {
        self.define(GATEWAY_API, "v1", "gateways", "Gateway");
        self.define(GATEWAY_API, "v1", "grpcroutes", "GRPCRoute");
        self.define(GATEWAY_API, "v1", "httproutes", "HTTPRoute");
        self.define(GATEWAY_API, "v1alpha2", "tcproutes", "TCPRoute");
        self.define(GATEWAY_API, "v1alpha2", "tlsroutes", "TLSRoute");
        self.define(GATEWAY_API, "v1alpha2", "udproutes", "UDPRoute");
    }

    fn define(&mut self, group: &str, version: &str, plural: &str, kind: &str) {
        self.resources
            .push(Resource::new(group, version, plural, kind));
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

    /// The resource of an object, in whatever version that is known.
    fn resource_of(&self, value: &Value) -> Result<&Resource> {
        let text = |field: &str| value[field].as_str().with_context(|| format!("a {field}"));
        let (version, kind) = (text("apiVersion")?, text("kind")?);
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut found = self.resources.iter();
        found
            .find(|one| one.kind == kind && one.group == group)
            .with_context(|| format!("the server does not know {kind} of {version}"))
    }

    pub(super) fn put(&mut self, mut value: Value) -> Result<()> {
        let resource = self.resource_of(&value)?.clone();
        value["apiVersion"] = json!(resource.api_version());
        if resource.is_namespaced() && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!("default");
        }
        // What clients must do without.
        value["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply"}]);
        let key = key(&value)?;
        if let Some(found) = self.get(&resource.id, &key.0, &key.1) {
            value["metadata"]["uid"] = found["metadata"]["uid"].clone();
            // Whoever writes rules does not write how they fare.
            if value["status"].is_null() && !found["status"].is_null() {
                value["status"] = found["status"].clone();
            }
        }
        self.owners.remove(&(resource.id.clone(), key.clone()));
        self.keep(&resource.id, key, value);
        Ok(())
    }

    /// Keeps an object as it is but for its version, and says that it happened.
    pub(super) fn keep(&mut self, id: &str, key: Key, mut value: Value) -> Value {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if value["metadata"]["uid"].is_null() {
            value["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let all = self.objects.entry(id.to_owned()).or_default();
        let kind = match all.insert(key, value.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.happened(id.to_owned(), kind, value.clone());
        value
    }

    pub(super) fn get(&self, id: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects.get(id)?.get(&key)
    }

    /// Resource and name of everything in a namespace.
    pub(super) fn inside(&self, namespace: &str) -> Vec<(String, String)> {
        let all = self.objects.iter();
        all.flat_map(|(id, objects)| {
            let inside = objects.keys().filter(|(own, _)| own == namespace);
            inside.map(|(_, name)| (id.clone(), name.clone()))
        })
        .collect()
    }

    pub(super) fn owners(&self, id: &str, key: &Key) -> Option<&Owners> {
        self.owners.get(&(id.to_owned(), key.clone()))
    }

    pub(super) fn own(&mut self, id: &str, key: Key, owners: Owners) {
        self.owners.insert((id.to_owned(), key), owners);
    }

    /// Removes the object that a document describes.
    pub(super) fn withdraw(&mut self, value: &Value) -> Result<()> {
        let id = self.resource_of(value)?.id.clone();
        let (namespace, name) = key(value)?;
        self.delete(&id, &namespace, &name)
    }

    pub(super) fn delete(&mut self, id: &str, namespace: &str, name: &str) -> Result<()> {
        let key = (namespace.to_owned(), name.to_owned());
        let all = self.objects.get_mut(id);
        let Some(mut value) = all.and_then(|all| all.remove(&key)) else {
            bail!("there is no {id} {namespace}/{name}");
        };
        self.owners
            .remove(&(id.to_owned(), (namespace.to_owned(), name.to_owned())));
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.happened(id.to_owned(), "DELETED", value);
        Ok(())
    }

    fn happened(&mut self, id: String, kind: &'static str, object: Value) {
        self.events.push(Event {
            version: self.version,
            id,
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
    pub(super) fn list(&self, id: &str, wanted: &Wanted) -> Vec<&Value> {
        let all = self.objects.get(id).into_iter().flatten();
        let all = all.map(|(_, object)| object);
        all.filter(|object| wanted.fits(object)).collect()
    }

    /// What happened after a version.
    pub(super) fn since(&self, version: u64, id: &str, wanted: &Wanted) -> Vec<Event> {
        let events = self.events.iter().filter(|event| {
            event.version > version && event.id == id && wanted.fits(&event.object)
        });
        events.cloned().collect()
    }
}

fn key(value: &Value) -> Result<(String, String)> {
    let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
    let name = text("name").context("an object's name")?;
    Ok((text("namespace").unwrap_or_default(), name))
}
