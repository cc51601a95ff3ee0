//! What unused rows held before they were filled: the way back of the plan before needs it.

use aya::maps::PerCpuValues;
use steer_common::service::SplitId;

use crate::{
    kernel::{KernelError, Maps},
    plan::Step,
};

/// What a step that fills rows overwrites.
#[derive(Debug)]
pub(super) enum Held {
    /// Rows that a step can fill with what they held.
    Rows(Step),
    /// How many tickets a split had given out.
    Tickets(SplitId, u64),
    /// The counts from a row of COUNTERS on.
    Counters(u32, Vec<PerCpuValues<u64>>),
}

impl Maps {
    /// What `step` will overwrite; nothing if it fills no rows.
    pub(super) fn held(&self, step: &Step) -> Result<Option<Held>, KernelError> {
        Ok(Some(match step {
            Step::Endpoints { first, rows } => {
                let indices = (*first..).take(rows.len());
                let rows = indices.map(|index| self.endpoints.get(&index, 0));
                let rows = rows.collect::<Result<_, _>>();
                Held::Rows(Step::Endpoints {
                    first: *first,
                    rows: rows.map_err(KernelError::map("ENDPOINTS"))?,
                })
            }
            &Step::Route { row, .. } => {
                let route = self.routes.get(&row, 0);
                Held::Rows(Step::Route {
                    row,
                    route: Box::new(route.map_err(KernelError::map("ROUTES"))?),
                })
            }
            &Step::StartTickets { split } => {
                let given = self.tickets.get(&split, 0);
                Held::Tickets(split, given.map_err(KernelError::map("TICKETS"))?)
            }
            &Step::StartCounters { first, count } => {
                let indices = first..first.saturating_add(count);
                let counts = indices.map(|index| self.counters.get(&index, 0));
                let counts = counts.collect::<Result<_, _>>();
                Held::Counters(first, counts.map_err(KernelError::map("COUNTERS"))?)
            }
            _ => return Ok(None),
        }))
    }

    /// Fills rows that nobody reads with what they held.
    pub(super) fn refill(&mut self, held: Held) -> Result<(), KernelError> {
        match held {
            Held::Rows(step) => self.step(&step),
            Held::Tickets(split, given) => self
                .tickets
                .set(split, given, 0)
                .map_err(KernelError::map("TICKETS")),
            Held::Counters(first, counts) => {
                (first..).zip(counts).try_for_each(|(index, count)| {
                    let set = self.counters.set(index, count, 0);
                    set.map_err(KernelError::map("COUNTERS"))
                })
            }
        }
    }
}
