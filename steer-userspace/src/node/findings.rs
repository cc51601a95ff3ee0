//! What a scan has to tell. Pure.

use std::net::IpAddr;

use super::owners::Dispute;
use crate::{
    desired::model::PodRef,
    finding::{Finding, ObjectRef, Severity},
};

/// Another namespace has the address of a pod.
pub(super) fn disputed(dispute: &Dispute) -> Finding {
    let who = dispute.claimant.as_ref().map_or_else(
        || "a network namespace that is no pod".to_owned(),
        |pod| format!("the network namespace of pod {pod}"),
    );
    let (ip, index, cookie) = (dispute.ip, dispute.host_index, dispute.cookie);
    Finding {
        severity: Severity::Warning,
        code: "STR0601",
        object: Some(object(&dispute.pod)),
        position: None,
        field: "status.podIPs".to_owned(),
        message: format!(
            "{who} (cookie {cookie}, behind interface {index} of the node) has the address {ip} of \
             this pod too; what it sends is not taken for this pod's"
        ),
        help: "Find out who put that address there: only one pod can have it.".to_owned(),
    }
}

/// A pod that has the node's own address.
pub(super) fn on_host_network(pod: &PodRef, ip: IpAddr) -> Finding {
    Finding {
        severity: Severity::Info,
        code: "STR0602",
        object: Some(object(pod)),
        position: None,
        field: "spec.hostNetwork".to_owned(),
        message: format!(
            "the pod shares the node's network namespace ({ip}), so its connections cannot be told \
             from the node's; rules for its labels or namespace do not apply to it"
        ),
        help: "Give it a network of its own if such rules shall apply.".to_owned(),
    }
}

/// Processes or namespaces that may not be looked at.
pub(super) fn refused(count: usize) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "STR0603",
        object: None,
        position: None,
        field: String::new(),
        message: format!(
            "{count} processes may not be looked at (permission denied): pods among them count as \
             unknown clients"
        ),
        help: "Run the agent as root, or in a privileged container with hostPID.".to_owned(),
    }
}

fn object(pod: &PodRef) -> ObjectRef {
    ObjectRef {
        kind: "Pod".to_owned(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
    }
}
