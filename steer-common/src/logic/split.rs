//! The exact split: a ticket is turned into a destination and a place inside it.
//!
//! With W the sum of the weights and a stride coprime to W, the W residues of W consecutive
//! tickets, each multiplied by the stride modulo W, are a permutation of 0..W. Each destination
//! owns `weight` of these positions, so any W consecutive tickets hold each destination exactly
//! `weight` times, at whatever offset they begin and whichever CPU drew them.

use crate::{
    limits::{DESTINATIONS_MAX, WEIGHT_SUM_MAX},
    service::Route,
};

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

/// Why weights cannot be turned into a split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WeightError {
    /// Their sum, after division by the greatest common divisor, does not fit 32 bits.
    SumTooLarge {
        /// That sum.
        sum: u64,
    },
}

/// Weights ready for a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// What each weight is divided by.
    pub divisor: u32,
    /// Sum of the divided weights.
    pub total: u32,
    /// Coprime to `total`, near `total`/phi.
    pub stride: u32,
}

/// Divides `weights` by their greatest common divisor and picks the stride. All zero gives total 0.
pub fn scale(weights: &[u32]) -> Result<Scale, WeightError> {
    let divisor = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let sum: u64 = weights
        .iter()
        .map(|&weight| u64::from(weight / divisor))
        .sum();
    let total = match u32::try_from(sum) {
        Ok(total) if sum <= WEIGHT_SUM_MAX => total,
        Ok(_) | Err(_) => return Err(WeightError::SumTooLarge { sum }),
    };
    Ok(Scale {
        divisor,
        total,
        stride: stride(total),
    })
}

/// A number coprime to `total`, as near to `total`/phi as there is: consecutive tickets then land
/// far apart, so a destination's connections are spread over the period instead of bunched.
pub fn stride(total: u32) -> u32 {
    // 2^32 / phi, rounded: total * this >> 32 is total / phi without floating point.
    const INVERSE_PHI_Q32: u64 = 2_654_435_769;
    if total < 3 {
        return 1;
    }
    let near = ((u64::from(total) * INVERSE_PHI_Q32) >> 32) as u32;
    let mut distance = 0;
    loop {
        let above = near.saturating_add(distance);
        if above < total && gcd(above, total) == 1 {
            return above;
        }
        let below = near.saturating_sub(distance);
        if below > 0 && gcd(below, total) == 1 {
            return below;
        }
        // Ends at 1 at the latest, which is coprime to everything.
        distance += 1;
    }
}

/// Greatest common divisor; `gcd(0, n)` is n.
pub const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
