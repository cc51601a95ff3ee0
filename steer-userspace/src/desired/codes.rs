//! The codes of findings about meaning. Istio's where `istioctl analyze` has one.

/// A host, subset or other object that is referred to does not exist.
pub const REFERENCED_NOT_FOUND: &str = "IST0101";
/// Several VirtualServices name one host on the mesh: the oldest wins whole.
pub const CONFLICTING_HOSTS: &str = "IST0109";
/// A destination needs a port: the service has several.
pub const DESTINATION_NEEDS_PORT: &str = "IST0112";
/// Nothing reaches a rule: one before it takes everything.
pub const RULE_UNREACHABLE: &str = "IST0130";
/// A subset selects no endpoint.
pub const SUBSET_SELECTS_NOTHING: &str = "IST0173";
/// The host of a DestinationRule does not exist.
pub const RULE_HOST_UNKNOWN: &str = "IST0174";
/// A rule must look at requests: its conditions on them are not enforced.
pub const NEEDS_REQUESTS: &str = "STR0301";
/// A rule must look at the first bytes.
pub const NEEDS_HELLO: &str = "STR0302";
/// A field is not enforced.
pub const FIELD_NOT_ENFORCED: &str = "STR0303";
/// The weights do not fit.
pub const WEIGHTS_TOO_LARGE: &str = "STR0304";
/// The service has no address that could be steered.
pub const HEADLESS: &str = "STR0305";
/// A way to reach the service is not steered.
pub const NOT_STEERED: &str = "STR0306";
/// The VirtualService concerns gateways only.
pub const GATEWAY_ONLY: &str = "STR0307";
/// An address or port cannot be read.
pub const UNREADABLE: &str = "STR0308";
