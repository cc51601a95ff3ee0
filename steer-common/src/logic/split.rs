//! The exact split: a ticket is turned into a destination and a place inside it.
//!
//! With W the sum of the weights and a stride coprime to W, the W residues of W consecutive
//! tickets, each multiplied by the stride modulo W, are a permutation of 0..W. Each destination
//! owns `weight` of these positions, so any W consecutive tickets hold each destination exactly
//! `weight` times, at whatever offset they begin and whichever CPU drew them.

use crate::{limits::DESTINATIONS_MAX, service::Route};

/// What a ticket means for a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// Index of the destination.
    pub destination: u32,
    /// How often this destination was drawn before, over the split's whole life: endpoints
    /// rotate by it.
    pub turn: u64,
}

/// Which destination `ticket` belongs to; `None` if the route has none.
#[inline(always)]
pub fn draw(route: &Route, ticket: u64) -> Option<Draw> {
    let total = u64::from(route.total);
    if total == 0 {
        return None;
    }
    let period = ticket / total;
    let residue = ticket - period * total;
    let position = (residue * u64::from(route.stride)) % total;
    let mut below = 0_u64;
    let mut index = 0;
    // Constant bound: the verifier walks it, and a row with garbage in its count cannot run away.
    while index < DESTINATIONS_MAX {
        let weight = u64::from(route.destinations[index].weight);
        if position < below + weight {
            let turn = period * weight + (position - below);
            return Some(Draw {
                #[expect(clippy::cast_possible_truncation, reason = "below DESTINATIONS_MAX")]
                destination: index as u32,
                turn,
            });
        }
        below += weight;
        index += 1;
    }
    None
}

#[cfg(test)]
mod tests;
