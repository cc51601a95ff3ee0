//! What is watched, and how it is asked for.

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::api::ApiResource;

use super::{
    super::cluster::{Depth, Watched},
    ClusterSettings,
};

/// One list and watch.
pub(super) struct Watch {
    pub(super) watched: Watched,
    /// The same by version; the first that the server knows is watched.
    pub(super) resources: Vec<ApiResource>,
    pub(super) namespace: Option<String>,
    pub(super) fields: Option<String>,
    /// Its definition need not be there.
    pub(super) may_be_missing: bool,
}

/// A kind whose definition an operator installs.
struct Defined {
    group: &'static str,
    /// The versions that it has had, the newest first; one schema.
    versions: &'static [&'static str],
    kind: &'static str,
    /// How a path names it.
    plural: &'static str,
    depth: Depth,
}

const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// Those of Istio. What is not enforced is asked for by name, because a finding says so.
const DEFINED: [Defined; 12] = [
    rule("VirtualService", "virtualservices"),
    rule("DestinationRule", "destinationrules"),
    rule("ServiceEntry", "serviceentries"),
    rule("WorkloadEntry", "workloadentries"),
    rule("Sidecar", "sidecars"),
    rule("Gateway", "gateways"),
    named(NETWORKING, &["v1alpha3"], "EnvoyFilter", "envoyfilters"),
    named(
        "telemetry.istio.io",
        &["v1", "v1alpha1"],
        "Telemetry",
        "telemetries",
    ),
    named(
        "extensions.istio.io",
        &["v1alpha1"],
        "WasmPlugin",
        "wasmplugins",
    ),
    named(
        SECURITY,
        &["v1", "v1beta1"],
        "AuthorizationPolicy",
        "authorizationpolicies",
    ),
    named(
        SECURITY,
        &["v1", "v1beta1"],
        "PeerAuthentication",
        "peerauthentications",
    ),
    named(
        SECURITY,
        &["v1", "v1beta1"],
        "RequestAuthentication",
        "requestauthentications",
    ),
];

const fn rule(kind: &'static str, plural: &'static str) -> Defined {
    Defined {
        group: NETWORKING,
        versions: VERSIONS,
        kind,
        plural,
        depth: Depth::Whole,
    }
}

const fn named(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
) -> Defined {
    Defined {
        group,
        versions,
        kind,
        plural,
        depth: Depth::Named,
    }
}

impl Defined {
    fn resources(&self) -> Vec<ApiResource> {
        let resource = |version: &&str| ApiResource {
            group: self.group.to_owned(),
            version: (*version).to_owned(),
            api_version: format!("{}/{version}", self.group),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        };
        self.versions.iter().map(resource).collect()
    }

    fn watch(&self) -> Watch {
        Watch {
            watched: Watched {
                kind: self.kind,
                depth: self.depth,
            },
            resources: self.resources(),
            namespace: None,
            fields: None,
            may_be_missing: true,
        }
    }
}

/// A kind of Istio's in each version, the newest first; nothing for other kinds.
pub(crate) fn rule_resources(kind: &str) -> Vec<ApiResource> {
    let found = DEFINED.iter().find(|defined| defined.kind == kind);
    found.map_or_else(Vec::new, Defined::resources)
}

/// Everything that is watched.
pub(super) fn watches(settings: &ClusterSettings) -> Vec<Watch> {
    let core = |kind, depth, resource| Watch {
        watched: Watched { kind, depth },
        resources: vec![resource],
        namespace: None,
        fields: None,
        may_be_missing: false,
    };
    let pods = || ApiResource::erase::<Pod>(&());
    let mut all = vec![
        core(
            "Namespace",
            Depth::Whole,
            ApiResource::erase::<Namespace>(&()),
        ),
        core("Service", Depth::Whole, ApiResource::erase::<Service>(&())),
        core(
            "EndpointSlice",
            Depth::Whole,
            ApiResource::erase::<EndpointSlice>(&()),
        ),
        Watch {
            namespace: Some(settings.root_namespace.clone()),
            fields: Some(format!("metadata.name={}", settings.mesh_config)),
            ..core(
                "ConfigMap",
                Depth::Whole,
                ApiResource::erase::<ConfigMap>(&()),
            )
        },
        Watch {
            fields: settings
                .node
                .as_ref()
                .map(|node| format!("spec.nodeName={node}")),
            ..core("Pod", Depth::Whole, pods())
        },
    ];
    if settings.node.is_some() {
        all.push(core("Pod", Depth::Metadata, pods()));
    }
    all.extend(DEFINED.iter().map(Defined::watch));
    all
}
