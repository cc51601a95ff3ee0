//! Values -> typed objects. Files and cluster objects come through here alike.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    core::{EndpointSlice, Namespace, Pod, Service},
    istio::{DestinationRule, VirtualService},
    object::{DEFAULT_NAMESPACE, Kind, Meta, Object, Place},
    validate,
};
use crate::finding::{Finding, ObjectRef, Severity};

/// One object that steer reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A namespace.
    Namespace(Arc<Object<Namespace>>),
    /// A service.
    Service(Arc<Object<Service>>),
    /// An endpoint slice.
    EndpointSlice(Arc<Object<EndpointSlice>>),
    /// A pod.
    Pod(Arc<Object<Pod>>),
    /// A virtual service.
    VirtualService(Arc<Object<VirtualService>>),
    /// A destination rule.
    DestinationRule(Arc<Object<DestinationRule>>),
}

impl Parsed {
    /// How findings name it.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Namespace(object) => object.reference(),
            Self::Service(object) => object.reference(),
            Self::EndpointSlice(object) => object.reference(),
            Self::Pod(object) => object.reference(),
            Self::VirtualService(object) => object.reference(),
            Self::DestinationRule(object) => object.reference(),
        }
    }

    /// Kind, namespace and name: what makes it the same object.
    pub fn name_key(&self) -> (&'static str, &str, &str) {
        let (kind, meta) = match self {
            Self::Namespace(object) => (Namespace::KIND, &object.meta),
            Self::Service(object) => (Service::KIND, &object.meta),
            Self::EndpointSlice(object) => (EndpointSlice::KIND, &object.meta),
            Self::Pod(object) => (Pod::KIND, &object.meta),
            Self::VirtualService(object) => (VirtualService::KIND, &object.meta),
            Self::DestinationRule(object) => (DestinationRule::KIND, &object.meta),
        };
        (kind, &meta.namespace, &meta.name)
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        match self {
            Self::Namespace(object) => &object.place,
            Self::Service(object) => &object.place,
            Self::EndpointSlice(object) => &object.place,
            Self::Pod(object) => &object.place,
            Self::VirtualService(object) => &object.place,
            Self::DestinationRule(object) => &object.place,
        }
    }
}

/// Kinds that concern traffic and are not read yet.
const TRAFFIC_KINDS: [&str; 21] = [
    "AuthorizationPolicy",
    "BackendTLSPolicy",
    "Endpoints",
    "EnvoyFilter",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Ingress",
    "NetworkPolicy",
    "PeerAuthentication",
    "ProxyConfig",
    "ReferenceGrant",
    "RequestAuthentication",
    "ServiceEntry",
    "Sidecar",
    "TCPRoute",
    "TLSRoute",
    "Telemetry",
    "WorkloadEntry",
    "WorkloadGroup",
];

/// API groups whose other kinds do not concern the traffic of pods.
const OTHER_GROUPS: [&str; 8] = [
    "",
    "apps",
    "batch",
    "policy",
    "rbac.authorization.k8s.io",
    "autoscaling",
    "storage.k8s.io",
    "apiextensions.k8s.io",
];

/// Reads one object. What is found on the way is added to `findings`; an object with a finding at
/// error level is refused.
pub fn parse_value(value: Value, place: &Place, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let text = |field: &str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() || version.is_empty() {
        findings.push(not_an_object(
            place,
            if kind.is_empty() {
                "kind"
            } else {
                "apiVersion"
            },
        ));
        return None;
    }
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut reader = Reader {
        place,
        kind: kind.clone(),
        meta: Meta::default(),
        findings,
        failed: false,
    };
    match (group, kind.as_str()) {
        ("", "Namespace") => reader.object(value, false).map(Parsed::Namespace),
        ("", "Service") => reader.object(value, false).map(Parsed::Service),
        ("", "Pod") => reader.pod(value).map(Parsed::Pod),
        ("discovery.k8s.io", "EndpointSlice") => reader.slice(value).map(Parsed::EndpointSlice),
        ("networking.istio.io", "VirtualService") if reader.istio_version(&version) => {
            let object = reader.object(value, true)?;
            let errors = validate::virtual_service(&object);
            reader.accept(object, errors).map(Parsed::VirtualService)
        }
        ("networking.istio.io", "DestinationRule") if reader.istio_version(&version) => {
            let object = reader.object(value, true)?;
            let errors = validate::destination_rule(&object);
            reader.accept(object, errors).map(Parsed::DestinationRule)
        }
        ("networking.istio.io", "VirtualService" | "DestinationRule") => None,
        (group, kind) => {
            reader.meta = meta(&value).unwrap_or_default();
            reader.unread(group, kind);
            None
        }
    }
}

fn not_an_object(place: &Place, field: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "STR0102",
        object: None,
        position: Some(place.position("")),
        field: field.to_owned(),
        message: format!("this is no Kubernetes object: it has no {field}"),
        help: "each document needs apiVersion, kind and metadata.name".to_owned(),
    }
}

/// Reads one object and collects what is found.
struct Reader<'a> {
    place: &'a Place,
    kind: String,
    meta: Meta,
    findings: &'a mut Vec<Finding>,
    failed: bool,
}

impl Reader<'_> {
    fn say(
        &mut self,
        severity: Severity,
        code: &'static str,
        field: &str,
        message: String,
        help: &str,
    ) {
        self.failed |= severity == Severity::Error;
        self.findings.push(Finding {
            severity,
            code,
            object: Some(ObjectRef {
                kind: self.kind.clone(),
                namespace: self.meta.namespace.clone(),
                name: self.meta.name.clone(),
            }),
            position: Some(self.place.position(field)),
            field: field.to_owned(),
            message,
            help: help.to_owned(),
        });
    }

    fn istio_version(&mut self, version: &str) -> bool {
        let known = [
            "networking.istio.io/v1",
            "networking.istio.io/v1beta1",
            "networking.istio.io/v1alpha3",
        ];
        if known.contains(&version) {
            return true;
        }
        let message = format!("{version} is not a version of {}", self.kind);
        self.say(
            Severity::Error,
            "IST0106",
            "apiVersion",
            message,
            "use networking.istio.io/v1",
        );
        false
    }

    /// A kind that is not read.
    fn unread(&mut self, group: &str, kind: &str) {
        let traffic = TRAFFIC_KINDS.contains(&kind);
        if traffic {
            let message = format!("{kind} is not enforced yet");
            self.say(
                Severity::Warning,
                "STR0201",
                "",
                message,
                "the rest of the configuration is enforced without it",
            );
        } else if OTHER_GROUPS.contains(&group) || group.ends_with("k8s.io") {
            let message = format!("{kind} does not concern steer and is not read");
            self.say(Severity::Info, "STR0202", "", message, "");
        } else {
            let message = format!("unknown kind {kind} of API group {group:?}");
            self.say(
                Severity::Error,
                "STR0203",
                "kind",
                message,
                "check the spelling of kind and apiVersion",
            );
        }
    }

    /// Metadata, and a spec of which unknown fields are told if `strict`.
    fn object<T: Kind + DeserializeOwned + Default>(
        &mut self,
        mut value: Value,
        strict: bool,
    ) -> Option<Arc<Object<T>>> {
        self.read_meta::<T>(&value)?;
        let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        let spec = self.typed("spec", spec, strict)?;
        self.finish(spec)
    }

    fn slice(&mut self, value: Value) -> Option<Arc<Object<EndpointSlice>>> {
        self.read_meta::<EndpointSlice>(&value)?;
        let slice = self.typed("", value, false)?;
        self.finish(slice)
    }

    fn pod(&mut self, mut value: Value) -> Option<Arc<Object<Pod>>> {
        self.read_meta::<Pod>(&value)?;
        let status = value.get_mut("status").map(Value::take).unwrap_or_default();
        let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        let mut pod: Pod = self.typed("spec", spec, false)?;
        pod.status = self.typed("status", status, false)?;
        self.finish(pod)
    }

    fn finish<T>(&mut self, spec: T) -> Option<Arc<Object<T>>> {
        let meta = std::mem::take(&mut self.meta);
        (!self.failed).then(|| {
            Arc::new(Object {
                meta,
                spec,
                place: self.place.clone(),
            })
        })
    }

    /// Adds what validation says; an object with errors is refused.
    fn accept<T>(&mut self, object: Arc<Object<T>>, found: Vec<Finding>) -> Option<Arc<Object<T>>> {
        let refused = found
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        self.findings.extend(found);
        (!refused).then_some(object)
    }

    fn read_meta<T: Kind>(&mut self, value: &Value) -> Option<()> {
        match meta(value) {
            Ok(found) => self.meta = found,
            Err((field, message)) => {
                self.say(
                    Severity::Error,
                    "IST0106",
                    &field,
                    message,
                    "see the Kubernetes API reference of ObjectMeta",
                );
                return None;
            }
        }
        if T::KIND == "Namespace" {
            self.meta.namespace.clear();
        }
        if self.meta.name.is_empty() {
            self.say(
                Severity::Error,
                "STR0102",
                "metadata.name",
                "the object has no name".to_owned(),
                "give it a metadata.name",
            );
            return None;
        }
        Some(())
    }

    fn typed<T: DeserializeOwned + Default>(
        &mut self,
        root: &str,
        value: Value,
        strict: bool,
    ) -> Option<T> {
        if value.is_null() {
            return Some(T::default());
        }
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
        let result =
            serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()));
        if strict {
            for path in unknown {
                let path = join(root, &field_path(&path));
                let name = path.rsplit('.').next().unwrap_or(&path).to_owned();
                self.say(
                    Severity::Warning,
                    "IST0133",
                    &path,
                    format!("unknown field {name}: it has no effect"),
                    "check its spelling and its place",
                );
            }
        }
        match result {
            Ok(typed) => Some(typed),
            Err(error) => {
                let path = join(root, track.path().to_string().trim_start_matches('.'));
                self.say(
                    Severity::Error,
                    "IST0106",
                    &path,
                    format!("{path}: {error}"),
                    "see the field's type in Istio's reference",
                );
                None
            }
        }
    }
}

fn join(root: &str, path: &str) -> String {
    match (root, path) {
        (root, "" | ".") => root.to_owned(),
        ("", path) => path.to_owned(),
        (root, path) if path.starts_with('[') => format!("{root}{path}"),
        (root, path) => format!("{root}.{path}"),
    }
}

/// `serde_ignored` writes `http.0.route.?.x`; fields are written `http[0].route.x`.
fn field_path(path: &str) -> String {
    let mut text = String::new();
    for part in path.split('.').filter(|&part| part != "?") {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{part}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
    }
    text
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<jiff::Timestamp>,
}

fn meta(value: &Value) -> Result<Meta, (String, String)> {
    let raw = value.get("metadata").cloned().unwrap_or_default();
    let raw: Option<RawMeta> = serde_path_to_error::deserialize(raw).map_err(|error| {
        let field = join("metadata", &error.path().to_string());
        let message = format!("{field}: {}", error.inner());
        (field, message)
    })?;
    let raw = raw.unwrap_or_default();
    Ok(Meta {
        name: raw.name.unwrap_or_default(),
        namespace: raw
            .namespace
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        labels: raw.labels.unwrap_or_default(),
        annotations: raw.annotations.unwrap_or_default(),
        created: raw.creation_timestamp.unwrap_or_default(),
    })
}
