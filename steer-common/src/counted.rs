//! COUNTED: how many requests clients send on plain connections of a route, by destination.

use crate::{limits::DESTINATIONS_MAX, service::SplitId};

/// Value of COUNTED, by split: a route whose requests are counted.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The split itself.
    pub split: SplitId,
    /// The first generation with these destinations: what connected before it counted others.
    pub since: u32,
    /// Requests so far, in the order of the route's destinations.
    pub requests: [u64; DESTINATIONS_MAX],
}

impl Counted {
    /// A route of which nothing was counted yet.
    pub const fn new(split: SplitId, since: u32) -> Self {
        Self {
            split,
            since,
            requests: [0; DESTINATIONS_MAX],
        }
    }
}

const _: () = assert!(size_of::<Counted>() == 8 + 8 * DESTINATIONS_MAX);
