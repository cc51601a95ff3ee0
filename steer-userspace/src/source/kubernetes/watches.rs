//! What is watched, and how it is asked for.

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service},
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

/// Kinds whose definitions an operator installs, of one group.
struct Defined {
    group: &'static str,
    /// The versions that they have had, the newest first; one schema.
    versions: &'static [&'static str],
    depth: Depth,
    kinds: &'static [Name],
}

/// A kind, as objects and as paths spell it.
struct Name {
    kind: &'static str,
    plural: &'static str,
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// Those of Istio and of the Gateway API. What is not enforced is asked for by name, because a finding
/// says so.
const DEFINED: [Defined; 6] = [
    Defined {
        group: "networking.istio.io",
        versions: ISTIO,
        depth: Depth::Whole,
        kinds: &[
            name("VirtualService", "virtualservices"),
            name("DestinationRule", "destinationrules"),
            name("ServiceEntry", "serviceentries"),
            name("WorkloadEntry", "workloadentries"),
            name("Sidecar", "sidecars"),
            name("Gateway", "gateways"),
        ],
    },
    Defined {
        group: "networking.istio.io",
        versions: ISTIO,
        depth: Depth::Named,
        kinds: &[
            name("EnvoyFilter", "envoyfilters"),
            name("ProxyConfig", "proxyconfigs"),
            name("WorkloadGroup", "workloadgroups"),
        ],
    },
    Defined {
        group: "telemetry.istio.io",
        versions: &["v1", "v1alpha1"],
        depth: Depth::Whole,
        kinds: &[name("Telemetry", "telemetries")],
    },
    Defined {
        group: "extensions.istio.io",
        versions: &["v1alpha1"],
        depth: Depth::Named,
        kinds: &[
            name("TrafficExtension", "trafficextensions"),
            name("WasmPlugin", "wasmplugins"),
        ],
    },
    Defined {
        group: "security.istio.io",
        versions: &["v1", "v1beta1"],
        depth: Depth::Named,
        kinds: &[
            name("AuthorizationPolicy", "authorizationpolicies"),
            name("PeerAuthentication", "peerauthentications"),
            name("RequestAuthentication", "requestauthentications"),
        ],
    },
    Defined {
        group: "gateway.networking.k8s.io",
        versions: &["v1", "v1beta1", "v1alpha3", "v1alpha2"],
        depth: Depth::Named,
        kinds: &[
            name("Gateway", "gateways"),
            name("GRPCRoute", "grpcroutes"),
            name("HTTPRoute", "httproutes"),
            name("TCPRoute", "tcproutes"),
            name("TLSRoute", "tlsroutes"),
            name("UDPRoute", "udproutes"),
        ],
    },
];

const fn name(kind: &'static str, plural: &'static str) -> Name {
    Name { kind, plural }
}

impl Defined {
    fn resources(&self, name: &Name) -> Vec<ApiResource> {
        let resource = |version: &&str| ApiResource {
            group: self.group.to_owned(),
            version: (*version).to_owned(),
            api_version: format!("{}/{version}", self.group),
            kind: name.kind.to_owned(),
            plural: name.plural.to_owned(),
        };
        self.versions.iter().map(resource).collect()
    }

    fn watches(&self) -> impl Iterator<Item = Watch> + '_ {
        self.kinds.iter().map(|name| Watch {
            watched: Watched {
                group: self.group,
                kind: name.kind,
                depth: self.depth,
            },
            resources: self.resources(name),
            namespace: None,
            fields: None,
            may_be_missing: true,
        })
    }
}

/// A kind of Istio's that says how traffic is meant to go, in each version, the newest first; nothing for
/// other kinds.
pub(crate) fn rule_resources(kind: &str) -> Vec<ApiResource> {
    let rules = DEFINED.iter().filter(|all| all.depth == Depth::Whole);
    let mut found = rules.flat_map(|all| all.kinds.iter().map(move |name| (all, name)));
    let found = found.find(|(_, name)| name.kind == kind);
    found.map_or_else(Vec::new, |(all, name)| all.resources(name))
}

/// Everything that is watched.
pub(super) fn watches(settings: &ClusterSettings) -> Vec<Watch> {
    let mut all = vec![
        own::<Namespace>(Depth::Whole),
        own::<Node>(Depth::Whole),
        own::<Service>(Depth::Whole),
        own::<EndpointSlice>(Depth::Whole),
        Watch {
            namespace: Some(settings.root_namespace.clone()),
            fields: Some(format!("metadata.name={}", settings.mesh_config)),
            ..own::<ConfigMap>(Depth::Whole)
        },
        Watch {
            fields: settings
                .node
                .as_ref()
                .map(|node| format!("spec.nodeName={node}")),
            ..own::<Pod>(Depth::Whole)
        },
    ];
    if settings.node.is_some() {
        all.push(own::<Pod>(Depth::Metadata));
    }
    all.extend(settings.secrets.as_ref().map(|namespace| Watch {
        namespace: Some(namespace.clone()),
        ..own::<Secret>(Depth::Whole)
    }));
    all.extend(DEFINED.iter().flat_map(Defined::watches));
    all
}

/// A kind of Kubernetes' own.
fn own<K: k8s_openapi::Resource>(depth: Depth) -> Watch {
    Watch {
        watched: Watched {
            group: K::GROUP,
            kind: K::KIND,
            depth,
        },
        resources: vec![ApiResource {
            group: K::GROUP.to_owned(),
            version: K::VERSION.to_owned(),
            api_version: K::API_VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            plural: K::URL_PATH_SEGMENT.to_owned(),
        }],
        namespace: None,
        fields: None,
        may_be_missing: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kinds::{self, Fate};

    /// Kinds of these groups that concern traffic and that nobody is told of: what they are about is told
    /// with the routes and gateways that name them.
    const WITH_OTHERS: [&str; 4] = [
        "BackendTLSPolicy",
        "GatewayClass",
        "ListenerSet",
        "ReferenceGrant",
    ];

    #[test]
    fn what_is_not_enforced_is_told_in_a_cluster_as_in_files() {
        let watched: Vec<_> = DEFINED.iter().flat_map(Defined::watches).collect();
        let groups = DEFINED.iter().map(|all| all.group);
        for (group, kind) in groups.flat_map(kinds::of_traffic) {
            let found = watched.iter().map(|watch| watch.watched);
            let mut found = found.filter(|it| it.group == group && it.kind == kind);
            assert!(
                found.next().is_some() || WITH_OTHERS.contains(&kind),
                "{group} {kind}"
            );
        }
        let mut named = watched.iter().map(|watch| watch.watched);
        assert!(
            named.all(|it| it.depth != Depth::Named
                || kinds::fate(it.group, it.kind) == Fate::NotEnforced)
        );
    }
}
