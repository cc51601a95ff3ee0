//! What an API server keeps: objects by resource, and what happened to them, in order.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

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

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// By namespace and name.
type Objects = BTreeMap<(String, String), Value>;

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
                Resource::new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
            ],
            objects: BTreeMap::new(),
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
        let (kind, plural) = ("AuthorizationPolicy", "authorizationpolicies");
        self.resources
            .push(Resource::new("security.istio.io", "v1", plural, kind));
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
        if resource.plural != "namespaces" && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!("default");
        }
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        // What clients must do without.
        value["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Apply"}]);
        let key = key(&value)?;
        let plural = resource.plural;
        let all = self.objects.entry(plural.clone()).or_default();
        let kind = match all.insert(key, value.clone()) {
            None => "ADDED",
            Some(_) => "MODIFIED",
        };
        self.happened(plural, kind, value);
        Ok(())
    }

    pub(super) fn delete(&mut self, plural: &str, namespace: &str, name: &str) -> Result<()> {
        let key = (namespace.to_owned(), name.to_owned());
        let all = self.objects.get_mut(plural);
        let Some(mut value) = all.and_then(|all| all.remove(&key)) else {
            bail!("there is no {plural} {namespace}/{name}");
        };
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
