//! Whether the programs are where they should be, and putting them back.

use std::{collections::BTreeSet, os::fd::AsFd as _};

use super::{
    Kernel, KernelError, PROGRAMS, Pins, attach, cgroup, filters,
    object::{OBSERVING_PROGRAM, PACKET_PROGRAMS, PORT_PROGRAMS, TAP_PROGRAM},
    sys, tap,
};

impl Kernel {
    /// Attaches again what somebody detached: programs at the cgroup, those that see packets among
    /// them if some policy judges, the one that sees connections if some pod is observed, and at the interfaces `ports`. Says what was missing.
    pub fn put_back(
        &mut self,
        judges: bool,
        ports: &BTreeSet<u32>,
    ) -> Result<Vec<String>, KernelError> {
        let mut missing = Vec::new();
        let wanted =
            cgroup::id(self.target()).map_err(KernelError::io("looking at", "the cgroup"))?;
        let copies = tap::is_open(self.pins())?;
        let observes = self.observes;
        let rests = |name| match name {
            TAP_PROGRAM => !copies,
            OBSERVING_PROGRAM => !observes,
            _ => !judges && PACKET_PROGRAMS.contains(&name),
        };
        for name in PROGRAMS {
            if rests(name) || leads_to(self.pins(), name, wanted) {
                continue;
            }
            let (program, target, pins) = self.program_and_place(name)?;
            attach::attach(name, program, target, &pins)?;
            missing.push(name.to_owned());
        }
        for &index in ports {
            if guards(self.pins(), index) {
                continue;
            }
            // An interface that has gone with its pod is none of our trouble.
            if self.ports_mut().guard(index).is_ok() {
                missing.push(format!("the guard of interface {index}"));
            }
        }
        Ok(missing)
    }
}

fn leads_to(pins: &Pins, name: &str, cgroup: u64) -> bool {
    let link = sys::open_pin(&pins.link(name));
    let info = link.and_then(|link| sys::link_info(link.as_fd()));
    info.is_ok_and(|info| info.cgroup_id == cgroup)
}

/// Whether both programs of an interface are attached to it, by filters where the note of them says so.
fn guards(pins: &Pins, index: u32) -> bool {
    if pins.filter(index).exists() {
        return filters::are_at(index);
    }
    PORT_PROGRAMS
        .into_iter()
        .all(|(_, direction)| sys::is_at_interface(&pins.port(index, direction), index))
}

/// The interfaces in PORTS that neither pinned links nor filters guard.
pub fn unguarded(pins: &Pins, ports: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let all = ports.into_iter();
    all.filter(|&index| !guards(pins, index)).collect()
}
