//! Names of gateways: `mesh`, `name`, `namespace/name`.

use super::{
    checks::Checks,
    names::{is_label, is_subdomain},
};

/// Whether the clients of the mesh are meant: by default they are.
pub(super) fn reaches_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|name| name == "mesh")
}

/// Whether gateways are meant.
pub(super) fn reaches_gateways(gateways: &[String]) -> bool {
    gateways.iter().any(|name| name != "mesh")
}

pub(super) fn names(checks: &mut Checks, field: &str, gateways: &[String]) {
    for (index, gateway) in gateways.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let (namespace, name) = gateway
            .split_once('/')
            .map_or((None, gateway.as_str()), |(namespace, name)| {
                (Some(namespace), name)
            });
        let is_name = match namespace {
            Some(namespace) => is_label(namespace) && is_label(name),
            None => is_subdomain(name),
        };
        if !is_name {
            checks.error(
                field,
                format!("{gateway:?} is not the name of a gateway"),
                "write NAME, NAMESPACE/NAME, or mesh",
            );
        } else if namespace.is_none() && name.contains('.') {
            checks.warn(
                field,
                "names with dots are an old form",
                "write NAMESPACE/NAME",
            );
        }
    }
}
