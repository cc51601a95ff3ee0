//! How many rows each map holds.

use steer_common::limits;

/// How many rows each map holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Keys of SERVICES for class 0: addresses times ports of all services.
    pub services: u32,
    /// Keys of SERVICES; its buckets follow from them.
    pub keys: u32,
    /// Rows of ROUTES and of TICKETS.
    pub rows: u32,
    /// Rows of ENDPOINTS.
    pub endpoints: u32,
    /// Rows of COUNTERS.
    pub counters: u32,
    /// Rows of SOURCES.
    pub sources: u32,
}

impl Capacity {
    /// The sizes that go with a number of services.
    pub const fn for_services(services: u32) -> Self {
        Self {
            services,
            keys: limits::keys(services),
            rows: limits::rows(services),
            endpoints: limits::endpoints(services),
            counters: limits::counters(services),
            sources: limits::SOURCES_MAX,
        }
    }

    /// The sizes of which the table of routes has `rows` rows.
    pub fn of_rows(rows: u32) -> Self {
        let (mut low, mut high) = (0, rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if Self::for_services(middle).rows < rows {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Self::for_services(low)
    }
}
