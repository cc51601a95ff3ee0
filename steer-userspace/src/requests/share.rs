//! The exact split, in user space: the same arithmetic as the kernel's, on the same kind of row.

use steer_common::{
    Destination, Route, ServiceKey,
    limits::DESTINATIONS_MAX,
    logic::split::{Draw, draw},
    weights::{Scale, WeightError, scale},
};

/// Weights that tickets are drawn by.
#[derive(Clone, Debug)]
pub struct Share {
    row: Box<Route>,
}

impl Share {
    /// Of these weights; beyond `DESTINATIONS_MAX` none is drawn.
    pub fn new(weights: &[u32]) -> Result<Self, WeightError> {
        Ok(Self::scaled(weights, scale(weights)?))
    }

    /// A share of a whole: `parts` of a million are the first of two.
    pub fn of_million(parts: u32) -> Self {
        let parts = parts.min(MILLION);
        let weights = [parts, MILLION - parts];
        // A sum of a million fits; no sum draws nothing.
        let nothing = Scale {
            divisor: 1,
            total: 0,
            stride: 1,
        };
        Self::scaled(&weights, scale(&weights).unwrap_or(nothing))
    }

    /// Which one a ticket belongs to, and how often that one was drawn before.
    pub fn draw(&self, ticket: u64) -> Option<Draw> {
        draw(&self.row, ticket)
    }

    fn scaled(weights: &[u32], scale: Scale) -> Self {
        let mut destinations = [Destination::default(); DESTINATIONS_MAX];
        for (place, weight) in destinations.iter_mut().zip(weights) {
            place.weight = weight / scale.divisor;
        }
        Self {
            row: Box::new(Route {
                key: ServiceKey::default(),
                service: 0,
                split: 0,
                flags: 0,
                total: scale.total,
                stride: scale.stride,
                counters: 0,
                destination_count: u32::try_from(weights.len()).unwrap_or(u32::MAX),
                affinity_secs: 0,
                generation: 0,
                rule: 0,
                destinations,
            }),
        }
    }
}

const MILLION: u32 = 1_000_000;
