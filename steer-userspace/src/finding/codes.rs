//! The codes of findings: stable, and never used again. Istio's where `istioctl analyze` has one.

use super::Severity;

/// A code, and what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// As findings show it.
    pub id: &'static str,
    /// How bad it is, unless a finding says otherwise.
    pub severity: Severity,
    /// What is the case, one sentence.
    pub title: &'static str,
    /// What follows from it, and what to do.
    pub help: &'static str,
}

/// A host, subset, port or delegate that is referred to does not exist.
pub const REFERENCED_NOT_FOUND: &str = "IST0101";
/// A field has the wrong type or a value that is not allowed.
pub const SCHEMA: &str = "IST0106";
/// Several VirtualServices name one host on the mesh.
pub const CONFLICTING_HOSTS: &str = "IST0109";
/// A destination needs a port: its service has several.
pub const DESTINATION_NEEDS_PORT: &str = "IST0112";
/// Several Sidecars select the same workloads.
pub const SIDECARS_SELECT_ALIKE: &str = "IST0110";
/// Several Sidecars of a namespace select all of its workloads.
pub const SIDECARS_WITHOUT_SELECTOR: &str = "IST0111";
/// The name of a port that rules concern does not say its protocol.
pub const PORT_NAME: &str = "IST0118";
/// Nothing reaches a rule: one before it takes everything.
pub const RULE_UNREACHABLE: &str = "IST0130";
/// A match is never used: an earlier rule has the same.
pub const INEFFECTIVE_MATCH: &str = "IST0131";
/// A host of a VirtualService is not one of its gateway.
pub const HOST_NOT_AT_GATEWAY: &str = "IST0132";
/// A field is unknown, deprecated, or has no effect.
pub const SCHEMA_WARNING: &str = "IST0133";
/// A ServiceEntry for TCP has no addresses.
pub const ADDRESSES_REQUIRED: &str = "IST0134";
/// Several Gateways want the same port, or the same name.
pub const GATEWAYS_CONFLICT: &str = "IST0145";
/// A Telemetry names no provider.
pub const NO_PROVIDER: &str = "IST0157";
/// Telemetries select the same workloads.
pub const TELEMETRIES_SELECT_ALIKE: &str = "IST0159";
/// Several Telemetries select all workloads of a namespace.
pub const TELEMETRIES_WITHOUT_SELECTOR: &str = "IST0160";
/// A port of a Gateway is none of its Service.
pub const GATEWAY_PORT: &str = "IST0162";
/// A subset selects no endpoint.
pub const SUBSET_SELECTS_NOTHING: &str = "IST0173";
/// The host of a DestinationRule does not exist.
pub const RULE_HOST_UNKNOWN: &str = "IST0174";
/// A file is not valid YAML.
pub const SYNTAX: &str = "STR0101";
/// A document is no Kubernetes object.
pub const NOT_AN_OBJECT: &str = "STR0102";
/// An object is there twice.
pub const DUPLICATE: &str = "STR0103";
/// A file or directory cannot be read.
pub const FILE_UNREADABLE: &str = "STR0104";
/// There is no configuration.
pub const NO_CONFIGURATION: &str = "STR0105";
/// A rule is larger than a node can hold.
pub const OVER_LIMIT: &str = "STR0106";
/// A kind of the cluster's objects cannot be watched.
pub const NOT_WATCHED: &str = "STR0107";
/// A kind that concerns traffic is not enforced yet.
pub const KIND_NOT_ENFORCED: &str = "STR0201";
/// A kind does not concern steer and is not read.
pub const KIND_NOT_READ: &str = "STR0202";
/// A kind is unknown.
pub const KIND_UNKNOWN: &str = "STR0203";
/// A rule must look at each request, on a port where that cannot be done.
pub const NEEDS_REQUESTS: &str = "STR0301";
/// A rule must look at the first bytes: its names are not looked for.
pub const NEEDS_HELLO: &str = "STR0302";
/// A field is not enforced.
pub const FIELD_NOT_ENFORCED: &str = "STR0303";
/// Weights do not fit.
pub const WEIGHTS_TOO_LARGE: &str = "STR0304";
/// A service is headless.
pub const HEADLESS: &str = "STR0305";
/// A way to reach a service is not steered.
pub const NOT_STEERED: &str = "STR0306";
/// An address cannot be read, or another service has it.
pub const UNREADABLE: &str = "STR0308";
/// No rule takes everything that is sent to a port.
pub const NO_CATCH_ALL: &str = "STR0309";
/// A subnet holds some of a service's addresses.
pub const PARTIAL_SUBNET: &str = "STR0310";
/// A delegate is not used, or contradicts the rule that delegates to it.
pub const DELEGATE: &str = "STR0311";
/// A destination is not exported to some clients.
pub const DESTINATION_HIDDEN: &str = "STR0312";
/// Rules and the protocol of a port do not go together.
pub const PORT_PROTOCOL: &str = "STR0313";
/// A port, an endpoint or an endpoint slice cannot be used.
pub const ENDPOINT: &str = "STR0314";
/// No node listens for a gateway.
pub const GATEWAY_DOOR: &str = "STR0315";
/// A gateway is left to its own pods.
pub const GATEWAY_LEFT: &str = "STR0316";
/// A server of a gateway has no certificate that can be used.
pub const GATEWAY_CERTIFICATE: &str = "STR0317";
/// A ServiceEntry is enforced in part, or otherwise than Istio does.
pub const ENTRY_IN_PART: &str = "STR0401";
/// The annotation steer.dev/egress is not understood.
pub const EGRESS_ANNOTATION: &str = "STR0402";
/// No resolver is trusted.
pub const NO_RESOLVER: &str = "STR0403";
/// A configuration of the mesh does not count.
pub const MESH_ELSEWHERE: &str = "STR0404";
/// The hosts of a Sidecar limit what may be reached, not which rules hold.
pub const SIDECAR_HOSTS: &str = "STR0405";
/// Another network namespace has the address of a pod.
pub const ADDRESS_CONTESTED: &str = "STR0601";
/// A pod uses the node's network: it is a client of no class.
pub const HOST_NETWORK: &str = "STR0602";
/// Processes or namespaces could not be looked at.
pub const NOT_LOOKED_AT: &str = "STR0603";
/// A pod runs on this node, and none of its processes is found.
pub const POD_NOT_FOUND: &str = "STR0604";
/// A pod has a sidecar.
pub const SIDECAR_BESIDE: &str = "STR0605";
/// Programs of others decide where sockets connect.
pub const PROGRAMS_BESIDE: &str = "STR0606";
/// A port that a gateway needs cannot be opened.
pub const PORT_NOT_OPEN: &str = "STR0607";
/// The configuration does not fit into the maps.
pub const DOES_NOT_FIT: &str = "STR0701";
/// The kernel refused a change.
pub const KERNEL_REFUSED: &str = "STR0702";
/// The agent's files could not be written.
pub const FILES_NOT_WRITTEN: &str = "STR0703";
/// The kernel refused a change, and the way back.
pub const TORN: &str = "STR0704";
/// Earlier rules are in force, because somebody returned to them.
pub const ROLLED_BACK: &str = "STR0705";
/// The kernel has no links to interfaces: filters are used.
pub const NO_TCX: &str = "STR0801";

/// All of them, in order.
pub const ALL: [Code; 63] = [
    Code {
        id: REFERENCED_NOT_FOUND,
        severity: Severity::Warning,
        title: "A host, subset, port or delegate that is referred to does not exist.",
        help: "Connections that would go there are refused, as Istio answers 503. Check the spelling: a name without a dot belongs to the namespace of the resource, a name with a dot is taken as it is.",
    },
    Code {
        id: SCHEMA,
        severity: Severity::Error,
        title: "A field has the wrong type or a value that is not allowed.",
        help: "Kubernetes or Istio would refuse the object. The whole change is refused, and the last good configuration stays in force.",
    },
    Code {
        id: CONFLICTING_HOSTS,
        severity: Severity::Warning,
        title: "Several VirtualServices name one host on the mesh.",
        help: "The oldest decides alone, the others are without effect for that host: they are not merged. Put the rules into one.",
    },
    Code {
        id: SIDECARS_SELECT_ALIKE,
        severity: Severity::Warning,
        title: "Several Sidecars select the same workloads.",
        help: "The oldest decides alone. Join them.",
    },
    Code {
        id: SIDECARS_WITHOUT_SELECTOR,
        severity: Severity::Warning,
        title: "Several Sidecars of a namespace select all of its workloads.",
        help: "The oldest decides alone. Join them.",
    },
    Code {
        id: DESTINATION_NEEDS_PORT,
        severity: Severity::Warning,
        title: "A destination needs a port: its service has several.",
        help: "The port that the client dialled is used. Write destination.port.number.",
    },
    Code {
        id: PORT_NAME,
        severity: Severity::Info,
        title: "The name of a port that rules concern does not say its protocol.",
        help: "http rules hold for it, or tcp rules if there are no others. Begin the name with its protocol, or set appProtocol.",
    },
    Code {
        id: RULE_UNREACHABLE,
        severity: Severity::Warning,
        title: "Nothing reaches a rule: one before it takes everything.",
        help: "Rules hold in the order in which they are written. Move the rule without conditions to the end.",
    },
    Code {
        id: INEFFECTIVE_MATCH,
        severity: Severity::Info,
        title: "A match is never used: an earlier rule has the same.",
        help: "Remove it.",
    },
    Code {
        id: HOST_NOT_AT_GATEWAY,
        severity: Severity::Warning,
        title: "A host of a VirtualService is not one of its gateway.",
        help: "Requests for it are answered with 404. Name it in hosts of a server of the Gateway, for the VirtualService's namespace.",
    },
    Code {
        id: SCHEMA_WARNING,
        severity: Severity::Warning,
        title: "A field is unknown, deprecated, or has no effect.",
        help: "The rest of the object holds. A misspelt field means a rule that is not there.",
    },
    Code {
        id: ADDRESSES_REQUIRED,
        severity: Severity::Warning,
        title: "A ServiceEntry for TCP has no addresses.",
        help: "Istio lets such a port through to every address; steer to those that DNS gives the host. Name addresses.",
    },
    Code {
        id: GATEWAYS_CONFLICT,
        severity: Severity::Warning,
        title: "Several servers of Gateways want the same port, or the same name.",
        help: "The oldest Gateway's has it. Servers of HTTP share a port; TLS and TCP do not share it with them.",
    },
    Code {
        id: NO_PROVIDER,
        severity: Severity::Warning,
        title: "accessLogging names no provider, and neither does what it belongs to.",
        help: "It has no effect, as with Istio. Write `providers: [{name: envoy}]`, or the mesh's `defaultProviders.accessLogging`.",
    },
    Code {
        id: TELEMETRIES_SELECT_ALIKE,
        severity: Severity::Warning,
        title: "Several Telemetries select the same workloads.",
        help: "The oldest decides alone. Join them.",
    },
    Code {
        id: TELEMETRIES_WITHOUT_SELECTOR,
        severity: Severity::Warning,
        title: "Several Telemetries of a namespace select all of its workloads.",
        help: "The oldest decides alone. Join them.",
    },
    Code {
        id: GATEWAY_PORT,
        severity: Severity::Warning,
        title: "A port of a Gateway is none of its Service.",
        help: "No node listens for it. The number is that of a port of the Service, not of its pods.",
    },
    Code {
        id: SUBSET_SELECTS_NOTHING,
        severity: Severity::Warning,
        title: "A subset selects no endpoint.",
        help: "Connections to it are refused until a pod has its labels.",
    },
    Code {
        id: RULE_HOST_UNKNOWN,
        severity: Severity::Warning,
        title: "The host of a DestinationRule does not exist.",
        help: "The rule is without effect until it does.",
    },
    Code {
        id: SYNTAX,
        severity: Severity::Error,
        title: "A file is not valid YAML.",
        help: "Nothing of the change is applied, and the last good configuration stays in force until the file is mended.",
    },
    Code {
        id: NOT_AN_OBJECT,
        severity: Severity::Error,
        title: "A document is no Kubernetes object.",
        help: "Each document needs apiVersion, kind and metadata.name.",
    },
    Code {
        id: DUPLICATE,
        severity: Severity::Error,
        title: "An object is there twice.",
        help: "Kubernetes has one object of a kind, namespace and name. Which one was meant cannot be known, so neither is taken.",
    },
    Code {
        id: FILE_UNREADABLE,
        severity: Severity::Error,
        title: "A file or directory cannot be read.",
        help: "Nothing of the change is applied until it can be.",
    },
    Code {
        id: NO_CONFIGURATION,
        severity: Severity::Warning,
        title: "There is no configuration.",
        help: "Files must end in .yaml, .yml or .json; hidden ones are left out.",
    },
    Code {
        id: OVER_LIMIT,
        severity: Severity::Error,
        title: "A rule is larger than a node can hold.",
        help: "The limits are listed in limits.md. The whole change is refused.",
    },
    Code {
        id: NOT_WATCHED,
        severity: Severity::Warning,
        title: "A kind of the cluster's objects cannot be watched.",
        help: "The message says which, and why. Until it is listed once nothing is applied; later, what was last seen of it holds, and it is \
               tried again.",
    },
    Code {
        id: KIND_NOT_ENFORCED,
        severity: Severity::Warning,
        title: "A kind that concerns traffic is not enforced yet.",
        help: "The rest of the configuration is enforced without it.",
    },
    Code {
        id: KIND_NOT_READ,
        severity: Severity::Info,
        title: "A kind does not concern steer and is not read.",
        help: "Nothing needs to be done.",
    },
    Code {
        id: KIND_UNKNOWN,
        severity: Severity::Error,
        title: "A kind is unknown.",
        help: "Check the spelling of kind and apiVersion.",
    },
    Code {
        id: NEEDS_REQUESTS,
        severity: Severity::Warning,
        title: "A rule must look at each request, on a port where that cannot be done.",
        help: "Connections take the rule that needs no request. Begin the port's name with http, http2 or grpc, or set appProtocol.",
    },
    Code {
        id: NEEDS_HELLO,
        severity: Severity::Warning,
        title: "A rule must look at the first bytes: its names are not looked for.",
        help: "It takes all connections to a service whose own name fits, and none to others.",
    },
    Code {
        id: FIELD_NOT_ENFORCED,
        severity: Severity::Warning,
        title: "A field is not enforced.",
        help: "The rest of the rule is.",
    },
    Code {
        id: WEIGHTS_TOO_LARGE,
        severity: Severity::Error,
        title: "Weights do not fit.",
        help: "Divided by their greatest common divisor, the weights of a route must sum to less than 2^32. Until then the service's own endpoints are used.",
    },
    Code {
        id: HEADLESS,
        severity: Severity::Info,
        title: "A service is headless.",
        help: "Its clients dial pods, and are left as they dialled.",
    },
    Code {
        id: NOT_STEERED,
        severity: Severity::Info,
        title: "A way to reach a service is not steered.",
        help: "Connections that come that way go where they were dialled.",
    },
    Code {
        id: UNREADABLE,
        severity: Severity::Warning,
        title: "An address cannot be read, or another service has it.",
        help: "What it belongs to is left out.",
    },
    Code {
        id: NO_CATCH_ALL,
        severity: Severity::Warning,
        title: "No rule takes everything that is sent to a port.",
        help: "What no rule takes Istio answers itself, with a reset. Here all of it goes to the service's own endpoints. Add a last rule without conditions.",
    },
    Code {
        id: PARTIAL_SUBNET,
        severity: Severity::Warning,
        title: "A subnet holds some of a service's addresses.",
        help: "A service has one route for all of its addresses: the rule holds for all of them.",
    },
    Code {
        id: DELEGATE,
        severity: Severity::Warning,
        title: "A delegate is not used, or contradicts the rule that delegates to it.",
        help: "A rule of a delegate holds as far as the rule that names it does.",
    },
    Code {
        id: DESTINATION_HIDDEN,
        severity: Severity::Warning,
        title: "A destination is not exported to some clients.",
        help: "Connections that would go there are refused, as Istio answers 503. Export the Service to them, or the VirtualService to fewer.",
    },
    Code {
        id: PORT_PROTOCOL,
        severity: Severity::Warning,
        title: "Rules and the protocol of a port do not go together.",
        help: "http rules hold for ports that speak HTTP, tls rules for TLS, tcp rules for the rest; a port's name or appProtocol says what it speaks.",
    },
    Code {
        id: ENDPOINT,
        severity: Severity::Warning,
        title: "A port, an endpoint or an endpoint slice cannot be used.",
        help: "It is left out; the rest is used.",
    },
    Code {
        id: GATEWAY_DOOR,
        severity: Severity::Warning,
        title: "No node listens for a gateway.",
        help: "Create a Service of type NodePort that has every label of the Gateway's selector in its own; it needs no pods.",
    },
    Code {
        id: GATEWAY_LEFT,
        severity: Severity::Info,
        title: "A gateway is left to its own pods.",
        help: "Its Service has endpoints that are ready. Nodes are the gateway once it has none.",
    },
    Code {
        id: GATEWAY_CERTIFICATE,
        severity: Severity::Warning,
        title: "A server of a gateway has no certificate that can be used.",
        help: "Its connections are refused; other servers are not concerned. The Secret stands in the namespace of the gateway's Service.",
    },
    Code {
        id: ENTRY_IN_PART,
        severity: Severity::Warning,
        title: "A ServiceEntry is enforced in part, or otherwise than Istio does.",
        help: "What is reached instead stands in the message, and in the guide on egress.",
    },
    Code {
        id: EGRESS_ANNOTATION,
        severity: Severity::Warning,
        title: "The annotation steer.dev/egress is not understood.",
        help: "It is audit or enforce. What holds for the namespace, or the mesh, holds.",
    },
    Code {
        id: NO_RESOLVER,
        severity: Severity::Warning,
        title: "No resolver is trusted.",
        help: "No name can be learned, so hosts outside are refused unless a ServiceEntry gives their addresses. Put the cluster's DNS service into the configuration, or name resolvers with --dns.",
    },
    Code {
        id: MESH_ELSEWHERE,
        severity: Severity::Warning,
        title: "A configuration of the mesh does not count.",
        help: "The ConfigMap istio of the root namespace counts, without it an IstioOperator.",
    },
    Code {
        id: SIDECAR_HOSTS,
        severity: Severity::Info,
        title: "The hosts of a Sidecar limit what may be reached, not which rules hold.",
        help: "With REGISTRY_ONLY, what they do not show is refused. VirtualServices and DestinationRules hold whether or not they are shown.",
    },
    Code {
        id: ADDRESS_CONTESTED,
        severity: Severity::Warning,
        title: "Another network namespace has the address of a pod.",
        help: "What it sends is not taken for the pod's. Find out who put the address there.",
    },
    Code {
        id: HOST_NETWORK,
        severity: Severity::Info,
        title: "A pod uses the node's network: it is a client of no class.",
        help: "Rules for its labels or namespace do not apply to it.",
    },
    Code {
        id: NOT_LOOKED_AT,
        severity: Severity::Warning,
        title: "Processes or namespaces could not be looked at.",
        help: "Run the agent as root, or in a privileged container with hostPID.",
    },
    Code {
        id: POD_NOT_FOUND,
        severity: Severity::Warning,
        title: "A pod runs on this node, and none of its processes is found.",
        help: "Its connections are not steered, or it counts as a client nobody knows: the watched cgroup \
               (--cgroup) must be above those of all pods.",
    },
    Code {
        id: SIDECAR_BESIDE,
        severity: Severity::Warning,
        title: "A pod of this node has a sidecar, which takes its connections.",
        help: "steer chooses an endpoint when the application connects; the sidecar is handed that endpoint, \
               not the service. Leave the sidecar out where steer does what it did.",
    },
    Code {
        id: PROGRAMS_BESIDE,
        severity: Severity::Warning,
        title: "Programs of others decide where sockets of pods connect, too.",
        help: "One that runs before steer's may put an endpoint where steer looks for a service. Turn the \
               other's socket load balancing off for pods.",
    },
    Code {
        id: PORT_NOT_OPEN,
        severity: Severity::Warning,
        title: "A port that a gateway needs cannot be opened.",
        help: "Something else listens there. It is tried again every few seconds.",
    },
    Code {
        id: DOES_NOT_FIT,
        severity: Severity::Error,
        title: "The configuration does not fit into the maps.",
        help: "The last good configuration stays in force. The limits are listed in limits.md.",
    },
    Code {
        id: KERNEL_REFUSED,
        severity: Severity::Error,
        title: "The kernel refused a change.",
        help: "The last good configuration stays in force.",
    },
    Code {
        id: FILES_NOT_WRITTEN,
        severity: Severity::Error,
        title: "The agent's files could not be written.",
        help: "Listings show names that are out of date until they can be.",
    },
    Code {
        id: TORN,
        severity: Severity::Error,
        title: "The kernel refused a change half-way, and refused to go back.",
        help: "Some services are as before and some as wanted, each of them whole. The agent tries again every few seconds; `steer status` says what the kernel refuses.",
    },
    Code {
        id: ROLLED_BACK,
        severity: Severity::Warning,
        title: "The rules of an earlier generation are in force, because somebody ran `steer rollback`.",
        help: "They stay until other rules are written, or until `steer rollback --release`. Pods, services and endpoints are those of now.",
    },
    Code {
        id: NO_TCX,
        severity: Severity::Info,
        title: "The kernel has no tcx (Linux 6.6): the guard at a pod's veth is a filter of clsact.",
        help: "Nothing is less strict, but whoever may administer the node's network can remove a \
               filter, and not a link; `tc filter show dev VETH ingress` shows it.",
    },
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    /// Every code that stands in the sources is in the list.
    #[test]
    fn no_code_is_used_that_is_not_listed() {
        let mut found = BTreeSet::new();
        gather(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        let known: BTreeSet<String> = ALL.iter().map(|code| code.id.to_owned()).collect();
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(found.len() >= ALL.len());
    }

    fn gather(path: &Path, found: &mut BTreeSet<String>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                gather(&entry.unwrap().path(), found);
            }
            return;
        }
        let text = fs::read_to_string(path).unwrap();
        for prefix in ["\"IST0", "\"STR0"] {
            for (start, _) in text.match_indices(prefix) {
                let code: String = text[start + 1..].chars().take(7).collect();
                if code[4..].bytes().all(|byte| byte.is_ascii_digit()) {
                    found.insert(code);
                }
            }
        }
    }
}
