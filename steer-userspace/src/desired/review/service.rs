//! Services and their slices: ways in that are not steered, addresses and endpoints that cannot
//! be used.

use crate::{
    desired::{
        codes,
        registry::{Host, transport, written_addresses},
        report::Report,
    },
    source::{
        Object,
        core::{EndpointSlice, SERVICE_NAME_LABEL, Service},
    },
};

pub(super) fn review(host: &Host, object: &Object<Service>, report: &mut Report) {
    entrances(object, report);
    addresses(host, object, report);
    ports(object, report);
}

/// Ways in, and preferences among endpoints, that are not there.
fn entrances(object: &Object<Service>, report: &mut Report) {
    let spec = &object.spec;
    let kind = spec.kind.as_deref().unwrap_or_default();
    if kind == "ExternalName" {
        let message = "an ExternalName service has no address: DNS leads its clients elsewhere";
        report.add(object, "spec.externalName", codes::NOT_STEERED, message, "");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        let message = format!("type {kind}: only connections to its cluster address are steered");
        report.add(object, "spec.type", codes::OTHER_ENTRANCE, message, "");
    }
    if !spec.external_ips.is_empty() {
        let message = "connections to external addresses are left as dialled";
        report.add(
            object,
            "spec.externalIPs",
            codes::NOT_STEERED,
            message,
            "dial the cluster address",
        );
    }
    if spec.internal_traffic_policy.as_deref() == Some("Local") {
        let message =
            "internalTrafficPolicy Local is not enforced: endpoints of all nodes are used";
        let field = "spec.internalTrafficPolicy";
        report.add(object, field, codes::NOT_ENFORCED, message, "");
    }
    if let Some(preference) = &spec.traffic_distribution {
        let message = format!(
            "trafficDistribution {preference} is not enforced: all endpoints are used alike"
        );
        let field = "spec.trafficDistribution";
        report.add(object, field, codes::NOT_ENFORCED, message, "");
    }
}

fn addresses(host: &Host, object: &Object<Service>, report: &mut Report) {
    let field = if object.spec.cluster_ips.is_empty() {
        "spec.clusterIP"
    } else {
        "spec.clusterIPs"
    };
    for address in written_addresses(&object.spec).filter_map(|text| text.parse().ok()) {
        let lost = host.lost.iter().find(|(lost, _)| *lost == address);
        if let Some((_, owner)) = lost {
            let message = format!(
                "{address} is the address of {owner} already: connections to it are for that one"
            );
            let help = "give each Service an address of its own";
            report.add(object, field, codes::ADDRESS, message, help);
        } else if !host.addresses.contains(&address) {
            let message = format!("{address} is a second address of one family: it is not steered");
            report.add(
                object,
                field,
                codes::ADDRESS,
                message,
                "write one address a family",
            );
        }
    }
}

fn ports(object: &Object<Service>, report: &mut Report) {
    for (index, port) in object.spec.ports.iter().enumerate() {
        if transport(port).is_none() {
            let message = format!(
                "port {} is neither TCP nor UDP: connections to it are left as dialled",
                port.port
            );
            let field = format!("spec.ports[{index}].protocol");
            report.add(object, &field, codes::NOT_STEERED, message, "");
        }
    }
}

/// What of a slice is no endpoint.
pub(super) fn review_slice(object: &Object<EndpointSlice>, report: &mut Report) {
    let slice = &object.spec;
    if !object.meta.labels.contains_key(SERVICE_NAME_LABEL) {
        let message = format!("it has no label {SERVICE_NAME_LABEL}: no service uses it");
        let help = "add the label, with the name of the Service";
        report.add(object, "metadata.labels", codes::ENDPOINT, message, help);
    }
    if slice.address_type == "FQDN" {
        let message = "names are no endpoints: the slice is left out";
        report.add(
            object,
            "addressType",
            codes::ENDPOINT,
            message,
            "use addressType IPv4 or IPv6",
        );
        return;
    }
    for (index, port) in slice
        .ports
        .iter()
        .enumerate()
        .filter(|(_, port)| port.port.is_none())
    {
        let name = port.name.as_deref().unwrap_or_default();
        let message = format!("port {name:?} has no number, which would mean all: it is left out");
        let field = format!("ports[{index}]");
        report.add(
            object,
            &field,
            codes::ENDPOINT,
            message,
            "write the number of the pods' port",
        );
    }
}
