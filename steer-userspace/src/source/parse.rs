//! Values -> typed objects. Files and cluster objects come through here alike.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    core::{EndpointSlice, Namespace, Node, Pod, Secret, Service},
    istio::{
        DestinationRule, Gateway, MeshConfig, MeshOrigin, ServiceEntry, Sidecar, Telemetry,
        VirtualService, WorkloadEntry,
    },
    kinds::{self, Fate},
    metadata,
    object::{Kind, Meta, Object, Place},
    typed::{self, WrongField},
    validate::{
        self, Checks,
        names::{is_label, is_subdomain},
    },
};
use crate::finding::{Finding, ObjectRef, Severity, codes};

mod mesh;

/// One object that steer reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A namespace.
    Namespace(Arc<Object<Namespace>>),
    /// A node.
    Node(Arc<Object<Node>>),
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
    /// A service entry.
    ServiceEntry(Arc<Object<ServiceEntry>>),
    /// A workload entry.
    WorkloadEntry(Arc<Object<WorkloadEntry>>),
    /// A sidecar.
    Sidecar(Arc<Object<Sidecar>>),
    /// A telemetry.
    Telemetry(Arc<Object<Telemetry>>),
    /// A gateway.
    Gateway(Arc<Object<Gateway>>),
    /// A secret.
    Secret(Arc<Object<Secret>>),
    /// The mesh's configuration.
    MeshConfig(Arc<Object<MeshConfig>>),
}

impl Parsed {
    /// How findings name it.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Namespace(object) => object.reference(),
            Self::Node(object) => object.reference(),
            Self::Service(object) => object.reference(),
            Self::EndpointSlice(object) => object.reference(),
            Self::Pod(object) => object.reference(),
            Self::VirtualService(object) => object.reference(),
            Self::DestinationRule(object) => object.reference(),
            Self::ServiceEntry(object) => object.reference(),
            Self::WorkloadEntry(object) => object.reference(),
            Self::Sidecar(object) => object.reference(),
            Self::Telemetry(object) => object.reference(),
            Self::Gateway(object) => object.reference(),
            Self::Secret(object) => object.reference(),
            Self::MeshConfig(object) => object.reference(),
        }
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        match self {
            Self::Namespace(object) => &object.place,
            Self::Node(object) => &object.place,
            Self::Service(object) => &object.place,
            Self::EndpointSlice(object) => &object.place,
            Self::Pod(object) => &object.place,
            Self::VirtualService(object) => &object.place,
            Self::DestinationRule(object) => &object.place,
            Self::ServiceEntry(object) => &object.place,
            Self::WorkloadEntry(object) => &object.place,
            Self::Sidecar(object) => &object.place,
            Self::Telemetry(object) => &object.place,
            Self::Gateway(object) => &object.place,
            Self::Secret(object) => &object.place,
            Self::MeshConfig(object) => &object.place,
        }
    }
}

/// Reads one object. What is found on the way is added to `findings`; an object with a finding at
/// error level is refused.
pub fn parse_value(value: Value, place: &Place, findings: &mut Vec<Finding>) -> Option<Parsed> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    let (group, _) = version.rsplit_once('/').unwrap_or_default();
    let mut reader = Reader {
        place,
        kind,
        meta: metadata::names(&value),
        findings,
    };
    let kind = reader.kind.clone();
    for (field, text) in [("kind", &kind), ("apiVersion", &version)] {
        if text.is_empty() {
            reader.not_an_object(field);
            return None;
        }
    }
    match (group, kind.as_str()) {
        ("", "Namespace") => reader.namespace(value).map(Parsed::Namespace),
        ("", "Node") => reader.node(value).map(Parsed::Node),
        ("", "Service") => reader
            .object(value, false, validate::service)
            .map(Parsed::Service),
        ("", "Pod") => reader.pod(value).map(Parsed::Pod),
        ("discovery.k8s.io", "EndpointSlice") => reader.slice(value).map(Parsed::EndpointSlice),
        ("networking.istio.io", "VirtualService") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::virtual_service)
                .map(Parsed::VirtualService)
        }
        ("networking.istio.io", "DestinationRule") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::destination_rule)
                .map(Parsed::DestinationRule)
        }
        ("networking.istio.io", "ServiceEntry") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::service_entry)
                .map(Parsed::ServiceEntry)
        }
        ("networking.istio.io", "WorkloadEntry") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::workload_entry)
                .map(Parsed::WorkloadEntry)
        }
        ("networking.istio.io", "Sidecar") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::sidecar)
                .map(Parsed::Sidecar)
        }
        ("telemetry.istio.io", "Telemetry") => {
            reader.version(&version, &TELEMETRY_VERSIONS)?;
            reader
                .object(value, true, validate::telemetry)
                .map(Parsed::Telemetry)
        }
        ("networking.istio.io", "Gateway") => {
            reader.istio_version(&version)?;
            reader
                .object(value, true, validate::gateway)
                .map(Parsed::Gateway)
        }
        ("", "Secret") => reader.secret(value).map(Parsed::Secret),
        ("", "ConfigMap") if mesh::is_config_map(&value) => {
            reader.config_map(value).map(Parsed::MeshConfig)
        }
        ("install.istio.io", "IstioOperator") => reader.operator(value).map(Parsed::MeshConfig),
        (group, kind) => {
            reader.unread(value, group, kind);
            None
        }
    }
}

/// What parsing and validation say about an object that stands nowhere, for tables of cases.
pub fn verdict(value: Value) -> Vec<Finding> {
    let place = Place {
        file: "".into(),
        fields: Arc::default(),
    };
    let mut findings = Vec::new();
    parse_value(value, &place, &mut findings);
    findings
}

/// Versions of Istio's API: one schema.
const ISTIO_VERSIONS: [&str; 3] = [
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];

/// Those of telemetry: one schema.
const TELEMETRY_VERSIONS: [&str; 2] = ["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];

/// Reads one object and collects what is found.
struct Reader<'a> {
    place: &'a Place,
    kind: String,
    meta: Meta,
    findings: &'a mut Vec<Finding>,
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
        self.findings.push(Finding {
            severity,
            code,
            object: (!self.kind.is_empty()).then(|| ObjectRef {
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

    fn not_an_object(&mut self, field: &str) {
        let message = format!("this is no Kubernetes object: it has no {field}");
        let help = "each document needs apiVersion, kind and metadata.name";
        self.say(Severity::Error, codes::NOT_AN_OBJECT, field, message, help);
    }

    fn wrong(&mut self, wrong: WrongField) {
        let WrongField {
            field,
            message,
            help,
        } = wrong;
        self.say(Severity::Error, codes::SCHEMA, &field, message, help);
    }

    fn istio_version(&mut self, version: &str) -> Option<()> {
        self.version(version, &ISTIO_VERSIONS)
    }

    /// One of `known`, the newest of which is the first.
    fn version(&mut self, version: &str, known: &[&str]) -> Option<()> {
        if known.contains(&version) {
            return Some(());
        }
        let message = format!("{version} is not a version of {}", self.kind);
        let newest = known.first().copied().unwrap_or_default();
        let help = format!("use {newest}");
        self.say(Severity::Error, codes::SCHEMA, "apiVersion", message, &help);
        None
    }

    /// A kind that is not read.
    fn unread(&mut self, mut value: Value, group: &str, kind: &str) {
        self.meta = metadata::read(&mut value).unwrap_or_default();
        match kinds::fate(group, kind) {
            Fate::NotEnforced => {
                let message = format!("{kind} is not enforced yet");
                let help = if kind == "Endpoints" {
                    "write an EndpointSlice (discovery.k8s.io/v1)"
                } else {
                    "the rest of the configuration is enforced without it"
                };
                self.say(
                    Severity::Warning,
                    codes::KIND_NOT_ENFORCED,
                    "",
                    message,
                    help,
                );
            }
            Fate::NotRead => {
                let message = format!("{kind} does not concern steer and is not read");
                self.say(Severity::Info, codes::KIND_NOT_READ, "", message, "");
            }
            Fate::Unknown => {
                let message = match group {
                    "" => format!("unknown kind {kind} of v1"),
                    group => format!("unknown kind {kind} of {group}"),
                };
                let help = kinds::meant(kind).map_or_else(
                    || "check the spelling of kind and apiVersion".to_owned(),
                    |meant| format!("perhaps {meant} was meant"),
                );
                self.say(Severity::Error, codes::KIND_UNKNOWN, "kind", message, &help);
            }
        }
    }

    /// Metadata and a spec; unknown fields of Istio's kinds are told.
    fn object<T: Kind + DeserializeOwned + Default>(
        &mut self,
        mut value: Value,
        is_istio: bool,
        check: fn(&Meta, &T) -> Checks,
    ) -> Option<Arc<Object<T>>> {
        self.read_meta(&mut value)?;
        let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        let spec = self.typed("spec", spec, is_istio)?;
        self.accept(spec, check)
    }

    fn namespace(&mut self, mut value: Value) -> Option<Arc<Object<Namespace>>> {
        self.read_meta(&mut value)?;
        self.meta.namespace.clear();
        self.accept(Namespace::default(), |_, _| Checks::default())
    }

    fn slice(&mut self, mut value: Value) -> Option<Arc<Object<EndpointSlice>>> {
        self.read_meta(&mut value)?;
        let slice = self.typed("", value, false)?;
        self.accept(slice, validate::endpoint_slice)
    }

    fn pod(&mut self, mut value: Value) -> Option<Arc<Object<Pod>>> {
        self.read_meta(&mut value)?;
        let status = value.get_mut("status").map(Value::take).unwrap_or_default();
        let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        let mut pod: Pod = self.typed("spec", spec, false)?;
        pod.status = self.typed("status", status, false)?;
        self.accept(pod, |_, _| Checks::default())
    }

    /// What is in it is neither kept beyond need nor said.
    fn secret(&mut self, mut value: Value) -> Option<Arc<Object<Secret>>> {
        self.read_meta(&mut value)?;
        // `kubectl apply` keeps the whole object there once more.
        self.meta.annotations.clear();
        match Secret::new(&value) {
            Ok(secret) => self.accept(secret, |_, _| Checks::default()),
            Err(field) => {
                let message = format!("{field}: it is not what a Secret has there");
                self.wrong(WrongField {
                    field,
                    message,
                    help: "write data in base64, or stringData as it is",
                });
                None
            }
        }
    }

    fn node(&mut self, mut value: Value) -> Option<Arc<Object<Node>>> {
        self.read_meta(&mut value)?;
        self.meta.namespace.clear();
        let status = value.get_mut("status").map(Value::take).unwrap_or_default();
        let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        let mut node: Node = self.typed("spec", spec, false)?;
        node.status = self.typed("status", status, false)?;
        self.accept(node, |_, _| Checks::default())
    }

    fn read_meta(&mut self, value: &mut Value) -> Option<()> {
        match metadata::read(value) {
            Ok(meta) => self.meta = meta,
            Err(wrong) => {
                self.wrong(wrong);
                return None;
            }
        }
        let (name, namespace) = (self.meta.name.clone(), self.meta.namespace.clone());
        if name.is_empty() {
            self.not_an_object("metadata.name");
            return None;
        }
        if !is_subdomain(&name) {
            self.bad_name("metadata.name", &name);
            return None;
        }
        if !is_label(&namespace) {
            self.bad_name("metadata.namespace", &namespace);
            return None;
        }
        Some(())
    }

    fn bad_name(&mut self, field: &str, name: &str) {
        let message = format!("{field}: {name:?} is not a name that Kubernetes has");
        let help = "use lower-case letters, digits and -";
        self.say(Severity::Error, codes::SCHEMA, field, message, help);
    }

    fn typed<T: DeserializeOwned + Default>(
        &mut self,
        root: &str,
        value: Value,
        is_istio: bool,
    ) -> Option<T> {
        let (result, unknown) = typed::read(root, value);
        for path in unknown.iter().filter(|_| is_istio) {
            let name = path.rsplit('.').next().unwrap_or(path);
            let message = format!("{path}: unknown field {name}, it has no effect");
            let help = "check its spelling and its place";
            self.say(
                Severity::Warning,
                codes::SCHEMA_WARNING,
                path,
                message,
                help,
            );
        }
        result.map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// Adds what validation says; an object with errors is refused.
    fn accept<T: Kind>(
        &mut self,
        spec: T,
        check: fn(&Meta, &T) -> Checks,
    ) -> Option<Arc<Object<T>>> {
        let mut object = Object {
            meta: std::mem::take(&mut self.meta),
            spec,
            place: self.place.clone(),
        };
        let found = validate::findings(&object, check);
        object.place = kept::<T>(self.place);
        let is_refused = found
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        self.findings.extend(found);
        (!is_refused).then(|| Arc::new(object))
    }
}

/// The positions that an object keeps: pods and slices come in hundreds of thousands, and what is
/// wrong with their fields has been said by then.
fn kept<T: Kind>(place: &Place) -> Place {
    if ![Pod::KIND, EndpointSlice::KIND].contains(&T::KIND) {
        return place.clone();
    }
    let own = place.fields.get("").map(|own| (String::new(), *own));
    Place {
        file: Arc::clone(&place.file),
        fields: Arc::new(own.into_iter().collect()),
    }
}
