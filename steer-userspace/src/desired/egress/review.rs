//! What of ServiceEntries, Sidecars and the mesh's configuration is not enforced, or otherwise than
//! Istio does.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    model::{Check, Egress},
    outbound::{ANNOTATION, Strictness, of_mesh},
    parts::check,
    sidecars::{Sidecars, selector},
};
use crate::{
    desired::{
        codes,
        protocol::Protocol,
        registry::{Host, entries::Entry},
        report::Report,
        route::World,
    },
    finding::Finding,
    source::{
        Object, Snapshot,
        istio::{MeshOrigin, OutboundTrafficPolicy, Resolution, ServiceEntry, Sidecar},
        object::Kind,
    },
};

pub(super) fn findings(
    world: World<'_>,
    snapshot: &Snapshot,
    sidecars: &Sidecars<'_>,
    guarded: bool,
    egress: &Egress,
) -> Vec<Finding> {
    let mut report = Report::default();
    mesh(world, snapshot, &mut report);
    for object in &snapshot.namespaces {
        annotation(object, &mut report);
    }
    for object in &snapshot.pods {
        annotation(object, &mut report);
    }
    for object in &snapshot.sidecars {
        annotation(object, &mut report);
        sidecar(object, &mut report);
    }
    for (object, older) in sidecars.idle() {
        let (code, what) = match selector(object) {
            Some(_) => (codes::SIDECARS_SELECT_ALIKE, "selects the same workloads"),
            None => (codes::SIDECARS_WITHOUT_SELECTOR, "has no selector either"),
        };
        let message = format!(
            "{}, which is older, {what}: it decides alone",
            older.reference()
        );
        report.add(object, "spec", code, message, "join the two");
    }
    for object in &snapshot.service_entries {
        entry_fields(object, &mut report);
    }
    for entry in &world.registry.entries {
        entry_host(world, entry, &mut report);
    }
    if guarded && egress.resolvers.is_empty() {
        no_resolver(snapshot, world, &mut report);
    }
    report.found
}

fn mesh(world: World<'_>, snapshot: &Snapshot, report: &mut Report) {
    let counts = of_mesh(snapshot, world.settings);
    for object in &snapshot.mesh_configs {
        annotation(object, report);
        let root = &world.settings.root_namespace;
        if counts.is_some_and(|counts| !Arc::ptr_eq(counts, object)) {
            let message =
                if object.spec.origin == MeshOrigin::ConfigMap && object.meta.namespace != *root {
                    format!("it is not in the root namespace {root}: it does not count")
                } else {
                    "another configuration of the mesh counts".to_owned()
                };
            report.add(object, "", codes::MESH_ELSEWHERE, message, "leave one");
        } else if counts.is_none() {
            let message = format!("it is not in the root namespace {root}: it does not count");
            let help = "see --root-namespace";
            report.add(object, "", codes::MESH_ELSEWHERE, message, help);
        }
        let named = object.spec.root_namespace.as_ref();
        if named.is_some_and(|named| named != root) {
            let message = format!("the agent's root namespace is {root}");
            let help = "start the agent with --root-namespace";
            report.add(object, "rootNamespace", codes::NOT_ENFORCED, message, help);
        }
        if let Some(policy) = &object.spec.outbound_traffic_policy {
            outbound(object, "outboundTrafficPolicy", policy, report);
        }
    }
}

fn outbound<T: Kind>(
    object: &Object<T>,
    field: &str,
    policy: &OutboundTrafficPolicy,
    report: &mut Report,
) {
    if policy.mode.as_deref() == Some("ALLOW_ANY_DYNAMIC_DNS") {
        let message = "connections go where they are dialled, as with ALLOW_ANY: names in their \
                       first bytes are not looked up";
        let field = format!("{field}.mode");
        report.add(
            object,
            &field,
            codes::NOT_ENFORCED,
            message,
            "use ALLOW_ANY",
        );
    }
    if policy.egress_proxy.is_some() {
        let message = "connections go where they are dialled";
        let field = format!("{field}.egressProxy");
        let help = "a VirtualService can lead to a proxy";
        report.add(object, &field, codes::NOT_ENFORCED, message, help);
    }
}

fn annotation<T: Kind>(object: &Object<T>, report: &mut Report) {
    let text = object.meta.annotations.get(ANNOTATION);
    if let Some(text) = text.filter(|text| Strictness::parse(text).is_none()) {
        let message =
            format!("{ANNOTATION}: {text:?} is neither audit nor enforce: it is not read");
        let field = "metadata.annotations";
        report.add(object, field, codes::EGRESS_ANNOTATION, message, "mend it");
    }
}

fn sidecar(object: &Object<Sidecar>, report: &mut Report) {
    let spec = &object.spec;
    if let Some(policy) = &spec.outbound_traffic_policy {
        outbound(object, "spec.outboundTrafficPolicy", policy, report);
    }
    let mut skip = |field: &str, message: &str| {
        report.add(object, field, codes::NOT_ENFORCED, message, "leave it out");
    };
    if !spec.ingress.is_empty() {
        skip("spec.ingress", "what arrives is not touched");
    }
    if spec.inbound_connection_pool.is_some() {
        skip("spec.inboundConnectionPool", "what arrives is not limited");
    }
    for (index, listener) in spec.egress.iter().enumerate() {
        let field = format!("spec.egress[{index}]");
        if listener.bind.as_ref().is_some_and(|bind| !bind.is_empty()) {
            skip(&format!("{field}.bind"), "nothing listens there");
        }
        let mode = listener.capture_mode.as_deref();
        if mode.is_some_and(|mode| mode != "DEFAULT") {
            let message = "connections are steered wherever they come from";
            skip(&format!("{field}.captureMode"), message);
        }
    }
    if !spec.egress.is_empty() {
        let message = "hosts limit what may be reached with REGISTRY_ONLY, not which rules hold";
        report.add(object, "spec.egress", codes::SIDECAR_HOSTS, message, "");
    }
}

fn entry_fields(object: &Object<ServiceEntry>, report: &mut Report) {
    let spec = &object.spec;
    let mut skip = |field: &str, message: &str| {
        report.add(object, field, codes::NOT_ENFORCED, message, "leave it out");
    };
    if !spec.subject_alt_names.is_empty() {
        skip("spec.subjectAltNames", "certificates are the application's");
    }
    if spec.resolves() == Resolution::DynamicDns {
        let message = "connections go where they are dialled, as with NONE";
        skip("spec.resolution", message);
    }
    for (index, found) in spec.endpoints.iter().enumerate() {
        let field = format!("spec.endpoints[{index}]");
        if found.weight.is_some_and(|weight| weight != 1) {
            skip(&format!("{field}.weight"), "endpoints take turns");
        }
        if found.locality.is_some() {
            skip(&format!("{field}.locality"), "endpoints take turns");
        }
        if found.network.as_ref().is_some_and(|name| !name.is_empty()) {
            skip(
                &format!("{field}.network"),
                "endpoints are reached directly",
            );
        }
        if found.address.starts_with("unix://") {
            skip(
                &format!("{field}.address"),
                "only addresses are connected to",
            );
        }
    }
}

fn entry_host(world: World<'_>, entry: &Arc<Entry>, report: &mut Report) {
    let object = &*entry.object;
    let spec = &object.spec;
    let hosts = spec.hosts.iter();
    let index = hosts
        .take_while(|host| !host.eq_ignore_ascii_case(&entry.host))
        .count();
    let field = format!("spec.hosts[{index}]");
    let host = world.registry.host(&entry.host);
    let other = host.filter(|host| !is_of(host, entry));
    if let Some(other) = other {
        let message = format!(
            "{} is the host of {}: what that says holds, this only allows more",
            entry.host,
            other.origin.reference()
        );
        report.add(
            object,
            &field,
            codes::ENTRY_IN_PART,
            message,
            "join the two",
        );
    }
    if entry.host.starts_with('*') && !entry.host.starts_with("*.") {
        let message = format!("{} fits no name: a wildcard ends with a dot", entry.host);
        report.add(
            object,
            &field,
            codes::ENTRY_IN_PART,
            message,
            "write *.DOMAIN",
        );
    }
    if let Some(host) = host.filter(|host| is_of(host, entry)) {
        for (address, owner) in &host.lost {
            let message = format!("{address} is an address of {owner}: connections go there");
            let help = "give each host addresses of its own";
            report.add(
                object,
                "spec.addresses",
                codes::ENTRY_IN_PART,
                message,
                help,
            );
        }
    }
    let mut told = BTreeSet::new();
    for (index, port) in entry.ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        ways(entry, &field, index, report);
        if told.insert(port.protocol.name()) {
            names(entry, port.protocol, &format!("{field}.protocol"), report);
        }
    }
}

fn is_of(host: &Host, entry: &Entry) -> bool {
    let object = host.origin.entry();
    object.is_some_and(|object| Arc::ptr_eq(object, &entry.object))
}

/// Ways to the endpoints that are not there: without an address of its own a host is dialled where
/// DNS says.
fn ways(entry: &Entry, field: &str, index: usize, report: &mut Report) {
    let object = &*entry.object;
    let written = object.spec.ports.get(index);
    let target = written.and_then(|port| port.target_port);
    let steered = entry.nets.iter().any(|net| net.single().is_some());
    if steered || entry.resolution == Resolution::None {
        return;
    }
    if target.is_some_and(|target| Some(target) != written.map(|port| port.number)) {
        let message = "without an address the port that is dialled is the port that is reached";
        let field = format!("{field}.targetPort");
        report.add(
            object,
            &field,
            codes::NOT_ENFORCED,
            message,
            "name addresses",
        );
    }
    let has_endpoints =
        !object.spec.endpoints.is_empty() || object.spec.workload_selector.is_some();
    if index == 0 && has_endpoints {
        let message = format!(
            "without an address that clients dial, connections go where DNS says {} is, not to the \
             endpoints",
            entry.host
        );
        let field = "spec.endpoints";
        report.add(
            object,
            field,
            codes::ENTRY_IN_PART,
            message,
            "name addresses",
        );
    }
}

/// What of a port's name can be held to.
fn names(entry: &Entry, protocol: Protocol, field: &str, report: &mut Report) {
    let object = &*entry.object;
    let clear = [Protocol::Http2, Protocol::Grpc, Protocol::GrpcWeb];
    if clear.contains(&protocol) {
        let message = format!(
            "of {protocol} in clear text the addresses that DNS gives the host are allowed, \
             whatever host its requests name"
        );
        report.add(object, field, codes::ENTRY_IN_PART, message, "");
    } else if check(protocol) == Check::Address && entry.nets.is_empty() {
        let message = format!(
            "without addresses Istio lets {protocol} through to any address; here those that DNS \
             gives the host are allowed"
        );
        report.add(
            object,
            field,
            codes::ADDRESSES_REQUIRED,
            message,
            "name addresses",
        );
    }
}

/// Names cannot be learned. Told at the object that asks for a guard.
fn no_resolver(snapshot: &Snapshot, world: World<'_>, report: &mut Report) {
    let message = "no DNS service is known whose answers could be believed: hosts are reached by \
                   addresses only";
    let help =
        "name resolvers with --dns, or the Service kube-system/kube-dns in the configuration";
    let field = "outboundTrafficPolicy";
    if let Some(object) = of_mesh(snapshot, world.settings) {
        report.add(object, field, codes::NO_RESOLVER, message, help);
    }
    for object in &snapshot.sidecars {
        if object.spec.outbound_traffic_policy.is_some() {
            let field = "spec.outboundTrafficPolicy";
            report.add(object, field, codes::NO_RESOLVER, message, help);
        }
    }
}
