//! Services: ways to reach them that are not steered.

use super::About;
use crate::{
    desired::{codes, registry::Host},
    finding::{Finding, Severity},
};

pub(super) fn review(host: &Host) -> Vec<Finding> {
    let mut about = About::new(&host.object);
    let spec = &host.object.spec;
    if spec.kind.as_deref() == Some("ExternalName") {
        about.warn(
            codes::NOT_STEERED,
            "spec.externalName",
            "an ExternalName service has no address: DNS leads its clients elsewhere",
            "nothing to do if that is what you want",
        );
    }
    if !spec.external_ips.is_empty() {
        about.warn(
            codes::NOT_STEERED,
            "spec.externalIPs",
            "connections to external addresses are left as dialled",
            "dial the cluster address",
        );
    }
    if spec.internal_traffic_policy.as_deref() == Some("Local") {
        about.not_enforced(
            "spec.internalTrafficPolicy",
            "endpoints of all nodes are used",
        );
    }
    if spec.traffic_distribution.is_some() {
        about.not_enforced("spec.trafficDistribution", "all endpoints are used alike");
    }
    let texts = spec.cluster_ips.iter().chain(
        spec.cluster_ip
            .iter()
            .filter(|_| spec.cluster_ips.is_empty()),
    );
    for text in texts.filter(|text| *text != "None" && !text.is_empty()) {
        if text.parse::<std::net::IpAddr>().is_err() {
            let message = format!("{text:?} is not an address");
            about.say(
                Severity::Warning,
                codes::UNREADABLE,
                "spec.clusterIP",
                message,
                "mend it; the service is not steered at it",
            );
        }
    }
    for (index, port) in host.ports.iter().enumerate() {
        let field = format!("spec.ports[{index}].protocol");
        if port.proto.is_none() {
            let message = format!(
                "port {} is neither TCP nor UDP: connections are left as dialled",
                port.port.port
            );
            about.warn(
                codes::NOT_STEERED,
                &field,
                message,
                "nothing to do if that is what you want",
            );
        }
    }
    about.found
}
