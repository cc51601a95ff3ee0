//! Ports of gateways that the kernel leads to pods by itself: by which of the node's addresses and
//! interfaces clients come in.

use std::collections::BTreeSet;

use steer_common::service::CLASS_OUTSIDE;

use crate::{
    desired::{Desired, gateway::model::Entrance},
    image::{Image, edge::Edge},
    kernel::{Kernel, KernelError},
    node::{
        NodeError,
        discover::Scan,
        uplinks::{UplinkScanner, Uplinks},
    },
};

/// The node's uplinks, as far as somebody needs them.
pub(super) struct Outside {
    /// None where programs cannot be attached to interfaces by links.
    scanner: Option<UplinkScanner>,
    found: Uplinks,
}

impl Outside {
    /// In the network namespace of the calling thread.
    pub(super) fn start(tcx: bool) -> Result<Self, NodeError> {
        Ok(Self {
            scanner: tcx.then(UplinkScanner::new).transpose()?,
            found: Uplinks::default(),
        })
    }

    /// Looks for uplinks, if a gateway needs them; whether the node has other addresses than before.
    pub(super) fn look(&mut self, desired: &Desired, pods: &Scan) -> bool {
        let mut listeners = desired.listeners.iter();
        let is_needed = listeners.any(|found| matches!(found.entrance, Entrance::Tcp(Some(_))));
        let scanner = self.scanner.as_ref().filter(|_| is_needed);
        let fresh = match scanner.map(|scanner| scanner.look(pods)).transpose() {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "looking for uplinks; those of the last time count");
                return false;
            }
        };
        let differs = fresh.addresses != self.found.addresses;
        self.found = fresh;
        differs
    }

    /// What the image needs to know.
    pub(super) fn edge(&self, pods: &Scan) -> Edge {
        let workloads = pods.workloads.values();
        let of_pods = workloads.flat_map(|found| found.addresses.iter().copied());
        Edge {
            addresses: self.found.addresses.clone(),
            pods: of_pods.collect(),
        }
    }

    /// Puts the programs in force at the uplinks if an image leads somebody there, and takes them away once
    /// nobody comes there any more.
    pub(super) fn enter(&self, kernel: &mut Kernel, image: &Image) -> Result<(), KernelError> {
        let leads = image
            .routes
            .last_key_value()
            .is_some_and(|(key, _)| key.class == CLASS_OUTSIDE);
        if leads {
            kernel.enter(&self.found.interfaces)
        } else {
            kernel.enter(&BTreeSet::new())
        }
    }
}
