//! Reads back what the maps hold.

use steer_common::{
    limits::REASON_COUNTERS,
    reason::Reason,
    service::{Route, ServiceKey},
};

use super::{KernelError, Maps};
use crate::live::Live;

impl Maps {
    /// Reads everything that services lead to.
    pub fn read(&self) -> Result<Live, KernelError> {
        let meta = self.egress.meta()?;
        let mut live = Live {
            generation: meta.generation,
            applying: meta.applying,
            meta,
            buckets: self.index().copy(),
            egress: self.egress.read()?,
            learned: self.egress.learned(),
            names_seen: self.egress.names_seen(),
            ..Live::default()
        };
        for row in self.index().rows() {
            let route = self
                .routes
                .get(&row, 0)
                .map_err(KernelError::map("ROUTES"))?;
            self.read_route(&mut live, &route)?;
            live.services.insert(route.key, row);
            live.routes.insert(row, route);
        }
        for entry in &self.sources {
            let (cookie, source) = entry.map_err(KernelError::map("SOURCES"))?;
            live.sources.insert(cookie, source);
        }
        for entry in &self.members {
            let (key, member) = entry.map_err(KernelError::map("MEMBERS"))?;
            live.members.insert(key, member);
        }
        for reason in Reason::ALL {
            live.reasons.insert(reason, self.counter(reason.index())?);
        }
        Ok(live)
    }

    /// How often a reason was given.
    pub fn given(&self, reason: Reason) -> Result<u64, KernelError> {
        self.counter(reason.index())
    }

    /// The route that `key` leads to.
    pub fn route(&self, key: &ServiceKey) -> Result<Option<Route>, KernelError> {
        for row in self.index().candidates(key) {
            let route = self
                .routes
                .get(&row, 0)
                .map_err(KernelError::map("ROUTES"))?;
            if route.key == *key {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    fn read_route(&self, live: &mut Live, route: &Route) -> Result<(), KernelError> {
        let tickets = self
            .tickets
            .get(&route.split, 0)
            .map_err(KernelError::map("TICKETS"))?;
        live.tickets.insert(route.split, tickets);
        for (destination, counter) in route.destinations().iter().zip(route.counters..) {
            if counter >= REASON_COUNTERS {
                live.counters.insert(counter, self.counter(counter)?);
            }
            for index in destination.first..destination.first.saturating_add(destination.count) {
                if live.endpoints.contains_key(&index) {
                    continue;
                }
                let row = self
                    .endpoints
                    .get(&index, 0)
                    .map_err(KernelError::map("ENDPOINTS"))?;
                live.endpoints.insert(index, row);
            }
        }
        Ok(())
    }

    fn counter(&self, index: u32) -> Result<u64, KernelError> {
        let values = self
            .counters
            .get(&index, 0)
            .map_err(KernelError::map("COUNTERS"))?;
        Ok(values.iter().sum())
    }
}
