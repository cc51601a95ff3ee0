//! The mesh's configuration.

use super::{checks::Checks, sidecar::outbound};
use crate::{
    finding::{Severity, codes},
    source::{
        istio::{
            MeshConfig,
            mesh_config::{NOT_ENFORCED, NOT_READ},
        },
        object::Meta,
    },
};

/// What is wrong with a mesh's configuration, and what of it is not enforced.
pub fn mesh_config(_: &Meta, spec: &MeshConfig) -> Checks {
    let mut checks = Checks::default();
    if let Some(policy) = &spec.outbound_traffic_policy {
        outbound(&mut checks, "outboundTrafficPolicy", policy);
    }
    let encodings = ["TEXT", "JSON"];
    let encoding = spec.access_log_encoding.as_deref();
    checks.one_of("accessLogEncoding", encoding, &encodings);
    for name in spec.others.keys() {
        if NOT_ENFORCED.contains(&name.as_str()) {
            checks.say(
                Severity::Warning,
                codes::FIELD_NOT_ENFORCED,
                name,
                "it is not enforced",
                "write it where it matters: exportTo, trafficPolicy",
            );
        } else if !NOT_READ.contains(&name.as_str()) {
            let message = format!("unknown field {name}, it has no effect");
            checks.warn(name, message, "check its spelling and its place");
        }
    }
    checks
}
