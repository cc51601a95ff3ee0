//! What comes in at the node's uplinks: at which interfaces it is steered, and which connections of it
//! are open.

use std::collections::BTreeSet;

use aya::maps::{HashMap, Map, MapData};
use steer_common::edge::{EDGE_IN, EdgeFlow, EdgeKey, is_over};

use super::{Kernel, KernelError, Pins, heartbeat::now_ns, maps};

/// The map of connections.
const FLOWS: &str = "EDGE_FLOWS";

impl Kernel {
    /// Steers what comes in at these interfaces, and at no others. Connections that are open go on: if
    /// `wanted` is empty, the programs stay where they are until there are none.
    pub fn enter(&mut self, wanted: &BTreeSet<u32>) -> Result<(), KernelError> {
        let entered = self.ports_mut().entered()?;
        if wanted.is_empty() && (entered.is_empty() || open_outside(self.pins())? > 0) {
            return Ok(());
        }
        for &index in wanted {
            // One that is gone, or that somebody else holds, must not keep others from it.
            if let Err(error) = self.ports_mut().enter(index) {
                tracing::warn!(index, %error, "what comes in at an interface is not steered there");
            }
        }
        let mut gone = entered.difference(wanted);
        gone.try_for_each(|&index| self.ports_mut().leave(index))
    }
}

/// How many connections from outside are open. What is over is forgotten.
pub fn open_outside(pins: &Pins) -> Result<usize, KernelError> {
    let failed = KernelError::map(FLOWS);
    let mut flows: HashMap<MapData, EdgeKey, EdgeFlow> = maps::hash(pins, FLOWS, Map::LruHashMap)?;
    // A row that goes while it is looked at is gone.
    let all: Vec<(EdgeKey, EdgeFlow)> = flows.iter().filter_map(Result::ok).collect();
    let now_ns = now_ns();
    let mut open = 0;
    for (key, inward) in all.iter().filter(|(_, flow)| flow.way == EDGE_IN) {
        let answers = EdgeKey {
            source: inward.other,
            target: key.source,
        };
        let outward = flows.get(&answers, 0).ok();
        let outward = outward.filter(|found| found.other == key.target);
        if outward.is_some_and(|outward| !is_over(inward, &outward, now_ns)) {
            open += 1;
            continue;
        }
        for gone in [Some(*key), outward.map(|_| answers)].into_iter().flatten() {
            match flows.remove(&gone) {
                Ok(()) | Err(aya::maps::MapError::KeyNotFound) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(open)
}
