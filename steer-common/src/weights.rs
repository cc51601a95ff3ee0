//! Weights of a route, made ready for its row.

use crate::limits::WEIGHT_SUM_MAX;

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
