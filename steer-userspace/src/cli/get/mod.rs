//! `steer get`: what the kernel holds, read from its maps.

mod clusters;
mod connections;
mod edge;
mod egress;
mod endpoints;
mod names;
mod routes;
mod services;
mod tables;
mod workloads;

pub(super) use connections::{Held, look};
pub(super) use egress::told;
pub(super) use routes::{Share, field, leading, position, shares, short, virtual_service};

use super::{
    Exit,
    args::{Get, Instance, Listing, Routes},
    explain::client,
    instance::{InForce, Seen},
    output,
};

/// Runs a listing.
pub(super) fn run(what: &Get, instance: &Instance) -> anyhow::Result<Exit> {
    let mut seen = instance.read()?;
    if let Get::Connections(_) = what {
        seen.connections = look(instance, &seen)?;
    }
    output::write(&text(what, &seen)?)?;
    Ok(Exit::Done)
}

/// A listing of what there is to be seen.
pub(super) fn text(what: &Get, seen: &Seen) -> anyhow::Result<String> {
    match what {
        Get::Services(args) => list(args, seen, services::rows),
        Get::Clusters(args) => list(args, seen, clusters::rows),
        Get::Endpoints(args) => list(args, seen, endpoints::rows),
        Get::Routes(args) => of_routes(args, seen),
        Get::Workloads(args) => list(args, seen, workloads::rows),
        Get::Egress(args) => list(args, seen, egress::rows),
        Get::Names(args) => list(args, seen, names::rows),
        Get::Connections(args) => list(args, seen, connections::rows),
    }
}

/// All routes, or the tables of one client.
fn of_routes(args: &Routes, seen: &Seen) -> anyhow::Result<String> {
    let listing = &args.listing;
    if args.gateway {
        return list(listing, seen, tables::of_gateways);
    }
    let Some(pod) = &args.pod else {
        return list(listing, seen, routes::rows);
    };
    let client = client(seen, pod)?.unwrap_or_default();
    list(listing, seen, |seen, filter| {
        tables::of_pod(seen, filter, &client)
    })
}

fn list<R: output::Row>(
    args: &Listing,
    seen: &Seen,
    rows: impl FnOnce(&Seen, &Filter<'_>) -> Vec<R>,
) -> anyhow::Result<String> {
    let filter = Filter {
        namespace: args.namespace.as_deref(),
        name: args.name.as_deref(),
    };
    output::listing(&rows(seen, &filter), args.output.output, !args.no_headers)
}

/// What is listed.
struct Filter<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl Filter<'_> {
    /// Whether the route of a service is listed.
    fn takes(&self, found: &InForce<'_>) -> bool {
        match found.service {
            Some(name) => self.takes_names(&name.namespace, &name.host),
            // Nobody knows whose it is: listed unless something is searched.
            None => self.namespace.is_none() && self.name.is_none(),
        }
    }

    /// Whether a host of the registry is listed. Hosts of Kubernetes are `NAME.NAMESPACE.svc...`.
    fn takes_host(&self, host: &str) -> bool {
        self.takes_names(host.split('.').nth(1).unwrap_or_default(), host)
    }

    fn takes_names(&self, namespace: &str, name: &str) -> bool {
        self.namespace.is_none_or(|wanted| wanted == namespace)
            && self.name.is_none_or(|wanted| name.contains(wanted))
    }
}
