//! Applies a plan: one write after another, in the plan's order.

use std::os::fd::AsFd as _;

use aya::maps::{MapError, PerCpuValues};

use super::{KernelError, Maps, Undo, index::NoSlot, sys};
use crate::plan::Step;

impl Maps {
    /// Does steps of a plan, noting the way back. Until the first `Publish` nothing that is in force
    /// has changed.
    pub fn apply(&mut self, steps: &[Step], undo: &mut Undo) -> Result<(), KernelError> {
        steps.iter().try_for_each(|step| {
            undo.note(self, step)?;
            self.step(step)
        })
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), KernelError> {
        #[cfg(feature = "faults")]
        super::fault::before_write(step.map())?;
        match step {
            Step::Begin { generation } => self.egress.begin(*generation),
            Step::Finish { generation } => self.egress.finish(*generation),
            Step::Endpoints { first, rows } => {
                sys::update_rows(self.endpoints_fd.as_fd(), *first, rows).map_err(|source| {
                    KernelError::Bpf {
                        call: "MAP_UPDATE_BATCH",
                        name: "ENDPOINTS".to_owned(),
                        source,
                    }
                })
            }
            Step::StartTickets { split } => self
                .tickets
                .set(*split, 0, 0)
                .map_err(KernelError::map("TICKETS")),
            Step::StartCounters { first, count } => self.start_counters(*first, *count),
            Step::Route { row, route } => self
                .routes
                .set(*row, **route, 0)
                .map_err(KernelError::map("ROUTES")),
            Step::AddMember { key, member } => self
                .members
                .insert(key, member, 0)
                .map_err(KernelError::map("MEMBERS")),
            Step::Publish { key, row, replaces } => self
                .index()
                .publish(key, *row, *replaces)
                .map_err(|NoSlot| KernelError::IndexFull),
            Step::SetSource { cookie, source } => self
                .sources
                .insert(cookie, source, 0)
                .map_err(KernelError::map("SOURCES")),
            Step::RemoveSource { cookie } => gone("SOURCES", self.sources.remove(cookie)),
            Step::Unpublish { key, row } => {
                self.index().unpublish(key, *row);
                Ok(())
            }
            Step::RemoveMember { key } => gone("MEMBERS", self.members.remove(key)),
            Step::Egress(step) => self.egress.step(step),
        }
    }

    fn start_counters(&mut self, first: u32, count: u32) -> Result<(), KernelError> {
        for index in first..first.saturating_add(count) {
            let zeros = PerCpuValues::try_from(vec![0_u64; self.cpus])
                .map_err(KernelError::io("counting CPUs for", "COUNTERS"))?;
            self.counters
                .set(index, zeros, 0)
                .map_err(KernelError::map("COUNTERS"))?;
        }
        Ok(())
    }
}

/// Removing what is not there is done already.
pub(super) fn gone(name: &'static str, result: Result<(), MapError>) -> Result<(), KernelError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(source) => Err(KernelError::map(name)(source)),
    }
}
