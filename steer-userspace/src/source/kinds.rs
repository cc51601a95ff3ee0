//! Which kinds there are, and which of them steer reads.

/// What becomes of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It concerns traffic, and is not enforced yet.
    NotEnforced,
    /// It does not concern traffic.
    NotRead,
    /// Nobody knows such a kind.
    Unknown,
}

/// The API groups of Istio and Kubernetes that are told apart kind by kind: kinds that concern
/// traffic, and kinds that do not.
const GROUPS: [(&str, &[&str], &[&str]); 11] = [
    (
        "",
        &["Endpoints"],
        &[
            "Binding",
            "ComponentStatus",
            "ConfigMap",
            "Event",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "ServiceAccount",
        ],
    ),
    (
        "apps",
        &[],
        &[
            "ControllerRevision",
            "DaemonSet",
            "Deployment",
            "ReplicaSet",
            "StatefulSet",
        ],
    ),
    ("autoscaling", &[], &["HorizontalPodAutoscaler"]),
    ("batch", &[], &["CronJob", "Job"]),
    ("policy", &[], &["PodDisruptionBudget"]),
    (
        "extensions.istio.io",
        &["TrafficExtension", "WasmPlugin"],
        &[],
    ),
    (
        "gateway.networking.k8s.io",
        &[
            "BackendTLSPolicy",
            "GRPCRoute",
            "Gateway",
            "GatewayClass",
            "HTTPRoute",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        ],
        &[],
    ),
    (
        "networking.istio.io",
        &["EnvoyFilter", "ProxyConfig", "WorkloadGroup"],
        &[],
    ),
    (
        "networking.k8s.io",
        &[
            "IPAddress",
            "Ingress",
            "IngressClass",
            "NetworkPolicy",
            "ServiceCIDR",
        ],
        &[],
    ),
    (
        "security.istio.io",
        &[
            "AuthorizationPolicy",
            "PeerAuthentication",
            "RequestAuthentication",
        ],
        &[],
    ),
    ("telemetry.istio.io", &[], &[]),
];

/// The kinds that are read, and their groups.
const READ: [(&str, &str); 14] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "Pod"),
    ("", "Secret"),
    ("", "Service"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("networking.istio.io", "DestinationRule"),
    ("networking.istio.io", "Gateway"),
    ("networking.istio.io", "VirtualService"),
    ("networking.istio.io", "ServiceEntry"),
    ("networking.istio.io", "Sidecar"),
    ("networking.istio.io", "WorkloadEntry"),
    ("install.istio.io", "IstioOperator"),
    ("telemetry.istio.io", "Telemetry"),
];

/// What becomes of an object of a kind that is not read.
pub fn fate(group: &str, kind: &str) -> Fate {
    match GROUPS.iter().find(|(name, ..)| *name == group) {
        Some((_, traffic, _)) if traffic.contains(&kind) => Fate::NotEnforced,
        Some((.., others)) if others.contains(&kind) => Fate::NotRead,
        None if group.ends_with(".k8s.io") && group != "discovery.k8s.io" => Fate::NotRead,
        Some(_) | None => Fate::Unknown,
    }
}

/// The kinds of a group that concern traffic and are not enforced yet.
#[cfg(test)]
pub fn of_traffic(group: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_group = GROUPS.iter().filter(move |(name, ..)| *name == group);
    of_group.flat_map(move |(_, kinds, _)| kinds.iter().map(move |kind| (group, *kind)))
}

/// What was probably meant by an unknown kind: the same kind of another group, or the same word
/// but for its case.
pub fn meant(kind: &str) -> Option<String> {
    let all = GROUPS.iter().flat_map(|(group, traffic, others)| {
        let kinds = traffic.iter().chain(*others);
        kinds.map(move |kind| (*group, *kind))
    });
    READ.into_iter()
        .chain(all)
        .find(|(_, known)| known.eq_ignore_ascii_case(kind))
        .map(|(group, known)| match group {
            "" => format!("{known} (v1)"),
            group => format!("{known} of {group}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_group() {
        assert_eq!(
            fate("networking.istio.io", "EnvoyFilter"),
            Fate::NotEnforced
        );
        assert_eq!(
            fate("gateway.networking.k8s.io", "Gateway"),
            Fate::NotEnforced
        );
        assert_eq!(fate("apps", "Deployment"), Fate::NotRead);
        assert_eq!(fate("rbac.authorization.k8s.io", "Role"), Fate::NotRead);
        for (group, kind) in [
            ("", "Deployment"),
            ("", "Srevice"),
            ("apps", "Pod"),
            ("x.y", "Z"),
        ] {
            assert_eq!(fate(group, kind), Fate::Unknown, "{group} {kind}");
        }
        assert_eq!(meant("service").as_deref(), Some("Service (v1)"));
        assert_eq!(
            meant("VirtualService").as_deref(),
            Some("VirtualService of networking.istio.io")
        );
        assert_eq!(meant("Z"), None);
    }
}
