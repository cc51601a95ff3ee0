//! Names of gateways, and hosts of their servers.

use crate::source::{
    Object, host,
    istio::{Gateway, Server},
};

/// The gateway that stands for all clients in the mesh.
pub const MESH: &str = "mesh";

/// A gateway as `NAMESPACE/NAME`, as a resource of `namespace` names it. With dots it is an old form:
/// `NAME.NAMESPACE` and whatever follows.
pub fn full_name(name: &str, namespace: &str) -> String {
    if let Some((scope, name)) = name.split_once('/') {
        let scope = if scope == "." { namespace } else { scope };
        return format!("{scope}/{name}");
    }
    let mut parts = name.split('.');
    let (first, scope) = (parts.next().unwrap_or_default(), parts.next());
    format!("{}/{first}", scope.unwrap_or(namespace))
}

/// The same of a Gateway itself.
pub(super) fn of(gateway: &Object<Gateway>) -> String {
    format!("{}/{}", gateway.meta.namespace, gateway.meta.name)
}

/// The hosts of a server, in small letters, without the namespaces that they are for.
pub(super) fn all_hosts(server: &Server) -> Vec<String> {
    let plain = |text: &String| {
        text.rsplit('/')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    server.hosts.iter().map(plain).collect()
}

/// The hosts that a server of `gateway` and a VirtualService of `namespace` with `hosts` have in
/// common: of two that overlap, the narrower one.
pub(super) fn common_hosts(
    gateway: &Object<Gateway>,
    server: &Server,
    namespace: &str,
    hosts: &[String],
) -> Vec<String> {
    let own = &gateway.meta.namespace;
    let scoped = server.hosts.iter().map(|text| {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix("./") {
            Some(name) => format!("{own}/{name}"),
            None => text,
        }
    });
    let scoped: Vec<String> = scoped.collect();
    let scoped: Vec<&str> = scoped.iter().map(String::as_str).collect();
    let offered = host::of_namespace(&scoped, namespace);
    let wanted: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let common = host::intersection(&offered, &wanted);
    common.into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_in_four_ways() {
        for name in [
            "edge",
            "shop/edge",
            "./edge",
            "edge.shop",
            "edge.shop.svc.cluster.local",
        ] {
            assert_eq!(full_name(name, "shop"), "shop/edge", "{name}");
        }
        assert_eq!(full_name("other/edge", "shop"), "other/edge");
        assert_eq!(full_name("edge.other", "shop"), "other/edge");
    }
}
