//! What of Gateways and of the VirtualServices that name them leads nowhere, or is not enforced.

use std::{collections::BTreeMap, sync::Arc};

use super::names::{self, MESH, full_name};
use crate::{
    desired::{codes, report::Report, route::World, virtual_services::Prepared},
    source::{
        Object, Snapshot,
        istio::{Gateway, Server, ServerTls},
    },
};

type Gateways<'s> = BTreeMap<String, &'s Arc<Object<Gateway>>>;

/// Gateways that VirtualServices name and that are not there, or do not have their hosts.
pub(super) fn virtual_services(world: World<'_>, snapshot: &Snapshot, report: &mut Report) {
    let gateways = snapshot.gateways.iter();
    let gateways: Gateways<'_> = gateways.map(|found| (names::of(found), found)).collect();
    for prepared in &world.virtual_services.all {
        let written = prepared.object.spec.gateways.iter().enumerate();
        for (index, name) in written.filter(|(_, name)| *name != MESH) {
            let field = format!("spec.gateways[{index}]");
            let full = full_name(name, &prepared.object.meta.namespace);
            match gateways.get(&full) {
                None => {
                    let message = format!("the gateway {full} does not exist");
                    let help = "write NAMESPACE/NAME of a Gateway of networking.istio.io";
                    let object = &*prepared.object;
                    report.add(object, &field, codes::NOT_FOUND, message, help);
                }
                Some(gateway) => hosts(prepared, gateway, &full, report),
            }
        }
    }
}

fn hosts(prepared: &Prepared, gateway: &Object<Gateway>, full: &str, report: &mut Report) {
    let object = &*prepared.object;
    for (index, host) in prepared.hosts.iter().enumerate() {
        // The host is for clients of the mesh.
        if prepared.mesh && !host.contains('*') && object.spec.hosts.len() > 1 {
            continue;
        }
        let namespace = &object.meta.namespace;
        let has = |server: &Server| {
            let one = std::slice::from_ref(host);
            !names::common_hosts(gateway, server, namespace, one).is_empty()
        };
        if !gateway.spec.servers.iter().any(has) {
            let message = format!("no server of the gateway {full} has the host {host}");
            let field = format!("spec.hosts[{index}]");
            let help = "name it in hosts of a server there, for this namespace";
            report.add(object, &field, codes::HOST_NOT_AT_GATEWAY, message, help);
        }
    }
}

/// The fields of a Gateway that are not enforced.
pub(super) fn fields(gateway: &Object<Gateway>, report: &mut Report) {
    for (index, server) in gateway.spec.servers.iter().enumerate() {
        let own = [
            (
                "bind",
                server.bind.is_some(),
                "nodes listen on all of their addresses",
            ),
            (
                "defaultEndpoint",
                server.default_endpoint.is_some(),
                "rules say where to",
            ),
        ];
        let tls = server.tls.iter().flat_map(tls_fields);
        for (field, _, instead) in own.into_iter().chain(tls).filter(|(_, asked, _)| *asked) {
            let message = format!("{field} is not enforced: {instead}");
            let field = format!("spec.servers[{index}].{field}");
            let help = "leave it out, or know that it has no effect here";
            report.add(gateway, &field, codes::NOT_ENFORCED, message, help);
        }
    }
}

fn tls_fields(tls: &ServerTls) -> [(&'static str, bool, &'static str); 4] {
    let old = |version: &Option<String>| {
        let version = version.as_deref();
        version.is_some_and(|version| ["TLSV1_0", "TLSV1_1"].contains(&version))
    };
    [
        (
            "tls.mode",
            tls.mode() == "AUTO_PASSTHROUGH",
            "TLS passes through where a tls rule has its name",
        ),
        (
            "tls.cipherSuites",
            !tls.cipher_suites.is_empty(),
            "those that are thought good today are taken",
        ),
        (
            "tls.minProtocolVersion",
            old(&tls.min_protocol_version),
            "TLS 1.2 is the least",
        ),
        (
            "tls.credentialNames",
            tls.credential_names.len() > 1,
            "the first one is taken",
        ),
    ]
}
