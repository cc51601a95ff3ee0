//! `steer get`: what the kernel holds, read from its maps.

mod clusters;
mod endpoints;
mod routes;
mod services;
mod workloads;

pub(super) use routes::{position, rule_text};

use super::{
    Exit,
    args::{Get, Instance, Listing},
    instance::Seen,
    output::{self, Row},
};

/// Runs a listing.
pub(super) fn run(what: Get, instance: &Instance) -> anyhow::Result<Exit> {
    match what {
        Get::Services(args) => list(&args, instance, services::rows),
        Get::Clusters(args) => list(&args, instance, clusters::rows),
        Get::Endpoints(args) => list(&args, instance, endpoints::rows),
        Get::Routes(args) => list(&args, instance, routes::rows),
        Get::Workloads(args) => list(&args, instance, workloads::rows),
    }
}

fn list<R: Row>(
    args: &Listing,
    instance: &Instance,
    rows: fn(&Seen, &Filter<'_>) -> Vec<R>,
) -> anyhow::Result<Exit> {
    let seen = instance.read()?;
    let filter = Filter {
        namespace: args.namespace.as_deref(),
        name: args.name.as_deref(),
    };
    output::listing(&rows(&seen, &filter), args.output.output, !args.no_headers)?;
    Ok(Exit::Done)
}

/// What is listed.
struct Filter<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl Filter<'_> {
    /// Whether a host of the registry is listed.
    fn takes_host(&self, host: &str) -> bool {
        let namespace = host.split('.').nth(1).unwrap_or_default();
        self.namespace.is_none_or(|wanted| wanted == namespace)
            && self.name.is_none_or(|wanted| host.contains(wanted))
    }
}

#[cfg(test)]
mod tests;
