//! The findings made here: their codes, and how bad each is. What is enforced in spite of it is no
//! error, whatever level istioctl gives it.

use crate::finding::{
    Severity::{self, Error, Info, Warning},
    codes,
};

/// A code, and how bad what it says is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Code {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
}

const fn code(id: &'static str, severity: Severity) -> Code {
    Code { id, severity }
}

/// A host, subset, port or delegate that is named does not exist.
pub(super) const NOT_FOUND: Code = code(codes::REFERENCED_NOT_FOUND, Warning);
/// Several VirtualServices of the mesh name one host.
pub(super) const CONFLICTING_HOSTS: Code = code(codes::CONFLICTING_HOSTS, Warning);
/// A destination without port, of a service with several.
pub(super) const AMBIGUOUS_PORT: Code = code(codes::DESTINATION_NEEDS_PORT, Info);
/// A port's name does not say its protocol.
pub(super) const PORT_NAME: Code = code(codes::PORT_NAME, Info);
/// A rule that is never reached.
pub(super) const UNREACHABLE_RULE: Code = code(codes::RULE_UNREACHABLE, Warning);
/// A match that an earlier one took.
pub(super) const INEFFECTIVE_MATCH: Code = code(codes::INEFFECTIVE_MATCH, Info);
/// A subset that selects no endpoint.
pub(super) const EMPTY_SUBSET: Code = code(codes::SUBSET_SELECTS_NOTHING, Warning);
/// A DestinationRule's host that no service has.
pub(super) const RULE_HOST_UNKNOWN: Code = code(codes::RULE_HOST_UNKNOWN, Warning);
/// A match on what only requests show.
pub(super) const REQUEST_MATCH: Code = code(codes::NEEDS_REQUESTS, Warning);
/// A tls rule that needs the name in the `ClientHello`.
pub(super) const SNI_MATCH: Code = code(codes::NEEDS_HELLO, Warning);
/// A field that is not enforced.
pub(super) const NOT_ENFORCED: Code = code(codes::FIELD_NOT_ENFORCED, Warning);
/// Weights whose sum does not fit.
pub(super) const WEIGHT_SUM: Code = code(codes::WEIGHTS_TOO_LARGE, Error);
/// A host without a service address: nothing to steer by.
pub(super) const HEADLESS: Code = code(codes::HEADLESS, Warning);
/// A way to reach a service that is not steered.
pub(super) const NOT_STEERED: Code = code(codes::NOT_STEERED, Warning);
/// One that is beside the one that is.
pub(super) const OTHER_ENTRANCE: Code = code(codes::NOT_STEERED, Info);
/// A host of a VirtualService that its gateway does not have.
pub(super) const HOST_NOT_AT_GATEWAY: Code = code(codes::HOST_NOT_AT_GATEWAY, Warning);
/// Servers that want the same port, or the same name.
pub(super) const GATEWAYS_CONFLICT: Code = code(codes::GATEWAYS_CONFLICT, Warning);
/// A port that the gateway's Service does not have.
pub(super) const GATEWAY_PORT: Code = code(codes::GATEWAY_PORT, Warning);
/// A gateway, or a port of it, for which no node listens.
pub(super) const GATEWAY_DOOR: Code = code(codes::GATEWAY_DOOR, Warning);
/// A gateway with pods of its own.
pub(super) const GATEWAY_LEFT: Code = code(codes::GATEWAY_LEFT, Info);
/// A server without a certificate that can be used.
pub(super) const GATEWAY_CERTIFICATE: Code = code(codes::GATEWAY_CERTIFICATE, Warning);
/// An address that cannot be read, or is taken.
pub(super) const ADDRESS: Code = code(codes::UNREADABLE, Error);
/// Requests that no rule takes: Istio answers 404.
pub(super) const NO_CATCH_ALL: Code = code(codes::NO_CATCH_ALL, Warning);
/// A subnet that holds some of a service's addresses.
pub(super) const PARTIAL_SUBNET: Code = code(codes::PARTIAL_SUBNET, Warning);
/// A delegate that no rule names, or whose rule contradicts the one that names it.
pub(super) const DELEGATE: Code = code(codes::DELEGATE, Warning);
/// A destination that is not exported to a client.
pub(super) const DESTINATION_HIDDEN: Code = code(codes::DESTINATION_HIDDEN, Warning);
/// Rules for HTTP and for TCP on a port that says neither, or rules that no port speaks.
pub(super) const PORT_PROTOCOL: Code = code(codes::PORT_PROTOCOL, Warning);
/// Endpoints or ports that cannot be used.
pub(super) const ENDPOINT: Code = code(codes::ENDPOINT, Warning);
/// A Sidecar that an older one of the same workloads makes idle.
pub(super) const SIDECARS_SELECT_ALIKE: Code = code(codes::SIDECARS_SELECT_ALIKE, Warning);
/// A second Sidecar of all workloads of a namespace.
pub(super) const SIDECARS_WITHOUT_SELECTOR: Code = code(codes::SIDECARS_WITHOUT_SELECTOR, Warning);
/// A Telemetry that an older one of the same workloads makes idle.
pub(super) const TELEMETRIES_SELECT_ALIKE: Code = code(codes::TELEMETRIES_SELECT_ALIKE, Warning);
/// A second Telemetry of all workloads of a namespace.
pub(super) const TELEMETRIES_WITHOUT_SELECTOR: Code =
    code(codes::TELEMETRIES_WITHOUT_SELECTOR, Warning);
/// A Telemetry that names nobody to tell.
pub(super) const NO_PROVIDER: Code = code(codes::NO_PROVIDER, Warning);
/// An entry for bytes that say no host, without addresses.
pub(super) const ADDRESSES_REQUIRED: Code = code(codes::ADDRESSES_REQUIRED, Warning);
/// An entry that does less, or otherwise, than with Istio.
pub(super) const ENTRY_IN_PART: Code = code(codes::ENTRY_IN_PART, Warning);
/// An annotation that is not understood.
pub(super) const EGRESS_ANNOTATION: Code = code(codes::EGRESS_ANNOTATION, Warning);
/// Names cannot be learned.
pub(super) const NO_RESOLVER: Code = code(codes::NO_RESOLVER, Warning);
/// A configuration of the mesh that does not count.
pub(super) const MESH_ELSEWHERE: Code = code(codes::MESH_ELSEWHERE, Warning);
/// A Sidecar limits what may be reached, not which rules hold.
pub(super) const SIDECAR_HOSTS: Code = code(codes::SIDECAR_HOSTS, Info);
