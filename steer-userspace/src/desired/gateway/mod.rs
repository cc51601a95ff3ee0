//! Where traffic of outside comes in: the node is the gateway.
//!
//! ```text
//! doors     the Services that a Gateway selects, and where nodes listen for them
//! servers   what stands at each of their ports: servers merge, or the first one wins
//! hosts     virtual hosts of HTTP, with the rules of all VirtualServices that are bound
//! streams   rules for TLS that passes through, and for other bytes
//! ending    certificates of TLS that ends here
//! review    names that lead nowhere, fields that are not enforced
//! ```

mod doors;
mod ending;
mod hosts;
pub mod model;
mod names;
mod review;
mod servers;
mod streams;

pub use names::{MESH, full_name};

use model::Listener;

use super::{codes, report::Report, route::World};
use crate::{finding::Finding, source::Snapshot};

/// What the Gateways of a snapshot come to on every node, and what is to be said of them.
pub(super) fn lower(world: World<'_>, snapshot: &Snapshot) -> (Vec<Listener>, Vec<Finding>) {
    let mut report = Report::default();
    review::virtual_services(world, snapshot, &mut report);
    if snapshot.gateways.is_empty() {
        return (Vec::new(), report.found);
    }
    for gateway in &snapshot.gateways {
        review::fields(gateway, &mut report);
    }
    let doors = doors::find(world, snapshot, &mut report);
    let listeners = servers::listeners(world, snapshot, &doors, &mut report);
    (listeners, report.found)
}

/// Whether a finding says of a Service that its node ports lead past steer, which those of gateways do not.
pub(super) fn contradicts(listeners: &[Listener], finding: &Finding) -> bool {
    finding.code == codes::OTHER_ENTRANCE.id
        && finding.field == "spec.type"
        && listeners
            .iter()
            .any(|listener| finding.object.as_ref() == Some(&listener.service))
}
