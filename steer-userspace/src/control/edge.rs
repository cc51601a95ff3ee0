//! Ports of the node that gateways need and that somebody else has.

use std::collections::BTreeMap;

use crate::{
    desired::gateway::model::Listener,
    finding::{Finding, Severity, codes},
};

/// A finding for each.
pub(super) fn closed(closed: &BTreeMap<u16, String>, listeners: &[Listener]) -> Vec<Finding> {
    let finding = |(port, why): (&u16, &String)| {
        let listener = listeners.iter().find(|found| found.port == *port);
        Finding {
            severity: Severity::Warning,
            code: codes::PORT_NOT_OPEN,
            object: listener.map(|found| found.service.clone()),
            position: None,
            field: String::new(),
            message: format!(
                "port {port} of this node, which a gateway needs, cannot be opened: {why}"
            ),
            help: "see who listens there (`ss -ltnp`); it is tried again every few seconds"
                .to_owned(),
        }
    };
    closed.iter().map(finding).collect()
}
