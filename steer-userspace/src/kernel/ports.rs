//! The programs at the host's side of pods' veths, and at the node's uplinks: attached to interfaces by pinned links, or by filters
//! where the kernel has no such links, so that they stay when the agent is gone; both go with their
//! interface.

use std::{collections::BTreeSet, fs, io::ErrorKind, os::fd::AsFd as _, path::Path};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, Program, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
};

use super::{
    KernelError, Pins, filters,
    object::{PORT_PROGRAMS, UPLINK_PROGRAMS},
    sys,
};

/// Attaches them, and replaces them in the links of an earlier agent.
pub struct Ports {
    // The object, which owns the programs.
    loaded: Ebpf,
    pins: Pins,
    /// By links, not by filters.
    tcx: bool,
}

impl Ports {
    /// Loads the programs, and puts them in force where an earlier agent had some.
    pub(super) fn new(loaded: Ebpf, pins: &Pins, tcx: bool) -> Result<Self, KernelError> {
        let mut ports = Self {
            loaded,
            pins: pins.clone(),
            tcx,
        };
        let guarded = ports.guarded()?;
        for (name, direction) in PORT_PROGRAMS {
            let failed = KernelError::program(name);
            ports.program(name)?.load().map_err(failed)?;
            for &index in &guarded {
                if !ports.renew(index, name, direction)? && !tcx {
                    filters::unmark(&ports.pins.filter(index))?;
                }
            }
        }
        let entered = ports.entered()?;
        for (name, direction) in UPLINK_PROGRAMS {
            let failed = KernelError::program(name);
            ports.program(name)?.load().map_err(failed)?;
            for &index in &entered {
                ports.renew_link(&ports.pins.uplink(index, direction), name)?;
            }
        }
        Ok(ports)
    }

    /// The interfaces that have the guard.
    pub fn guarded(&self) -> Result<BTreeSet<u32>, KernelError> {
        guarded(&self.pins)
    }

    /// Attaches the programs to an interface of the agent's own namespace. Before, PORTS must say
    /// whose it is: an interface that nobody knows is judged by the default policy.
    pub fn guard(&mut self, index: u32) -> Result<(), KernelError> {
        for (name, direction) in PORT_PROGRAMS {
            if !self.tcx {
                self.filter(index, name, direction)?;
            } else if !self.renew(index, name, direction)? {
                let path = self.pins.port(index, direction);
                self.attach(index, name, direction, &path)?;
            }
        }
        Ok(())
    }

    /// The interfaces at which what comes in from outside is steered.
    pub(super) fn entered(&self) -> Result<BTreeSet<u32>, KernelError> {
        filters::marked(&self.pins.uplinks())
    }

    /// Attaches those programs to an interface, unless they are there.
    pub(super) fn enter(&mut self, index: u32) -> Result<(), KernelError> {
        for (name, direction) in UPLINK_PROGRAMS {
            let path = self.pins.uplink(index, direction);
            if !sys::is_at_interface(&path, index) {
                remove(&path)?;
                self.attach(index, name, direction, &path)?;
            }
        }
        Ok(())
    }

    /// Takes them away again.
    pub(super) fn leave(&self, index: u32) -> Result<(), KernelError> {
        let mut programs = UPLINK_PROGRAMS.into_iter().rev();
        programs.try_for_each(|(_, direction)| remove(&self.pins.uplink(index, direction)))
    }

    /// Puts a program in force at an interface by a filter.
    fn filter(
        &mut self,
        index: u32,
        name: &'static str,
        direction: TcAttachType,
    ) -> Result<(), KernelError> {
        let interface = filters::name(index).ok_or(KernelError::NoInterface { index })?;
        filters::attach(self.program(name)?, &interface, direction)
            .map_err(KernelError::program(name))?;
        filters::mark(&self.pins.filter(index))
    }

    fn attach(
        &mut self,
        index: u32,
        name: &'static str,
        direction: TcAttachType,
        path: &Path,
    ) -> Result<(), KernelError> {
        let interface = filters::name(index).ok_or(KernelError::NoInterface { index })?;
        let failed = KernelError::program(name);
        let program = self.program(name)?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program
            .attach_with_options(&interface, direction, options)
            .map_err(&failed)?;
        let link = program.take_link(id).map_err(&failed)?;
        let link = fd_link(link).map_err(|_| KernelError::Missing {
            name: "tcx (Linux 6.6)",
        })?;
        link.pin(path).map(drop).map_err(|error| KernelError::Io {
            action: "pinning",
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })
    }

    /// Takes them away again, the guard first.
    pub fn release(&mut self, index: u32) -> Result<(), KernelError> {
        if !self.tcx {
            filters::detach(index);
            return filters::unmark(&self.pins.filter(index));
        }
        let mut programs = PORT_PROGRAMS.into_iter().rev();
        programs.try_for_each(|(_, direction)| remove(&self.pins.port(index, direction)))
    }

    /// Any program of the object.
    pub(super) fn loaded_program(&self, name: &'static str) -> Result<&Program, KernelError> {
        let program = self.loaded.program(name);
        program.ok_or(KernelError::Missing { name })
    }

    /// The object.
    pub(super) fn loaded_mut(&mut self) -> &mut Ebpf {
        &mut self.loaded
    }

    fn program(&mut self, name: &'static str) -> Result<&mut SchedClassifier, KernelError> {
        let program = self.loaded.program_mut(name);
        let program = program.ok_or(KernelError::Missing { name })?;
        program.try_into().map_err(KernelError::program(name))
    }

    /// Puts a program into its link or filter at an interface; false if there is none, or none any
    /// more because the interface is gone.
    fn renew(
        &mut self,
        index: u32,
        name: &'static str,
        direction: TcAttachType,
    ) -> Result<bool, KernelError> {
        if !self.tcx {
            let Some(interface) = filters::name(index) else {
                return Ok(false);
            };
            return filters::renew(self.program(name)?, &interface, direction)
                .map_err(KernelError::program(name));
        }
        self.renew_link(&self.pins.port(index, direction), name)
    }

    /// Puts a program into a pinned link; false if there is none, or none any more.
    fn renew_link(&mut self, path: &Path, name: &'static str) -> Result<bool, KernelError> {
        let failed = |source| KernelError::Bpf {
            call: "LINK_UPDATE",
            name: name.to_owned(),
            source,
        };
        let link = match sys::open_pin(path) {
            Ok(link) => link,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let fd = self
            .program(name)?
            .fd()
            .map_err(KernelError::program(name))?;
        match sys::update_link(link.as_fd(), fd.as_fd()) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {
                remove(path)?;
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The interfaces that have the guard.
pub(super) fn guarded(pins: &Pins) -> Result<BTreeSet<u32>, KernelError> {
    let mut found = filters::marked(&pins.ports())?;
    found.extend(filters::marked(&pins.filters())?);
    Ok(found)
}

fn fd_link(link: SchedClassifierLink) -> Result<FdLink, aya::programs::links::LinkError> {
    link.try_into()
}

fn remove(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(KernelError::io("removing", path)(error)),
    }
}
