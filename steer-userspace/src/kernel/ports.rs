//! The program at the host's side of pods' veths: attached to interfaces by pinned links, so that it
//! stays when the agent is gone; a link goes with its interface.

use std::{collections::BTreeSet, fs, os::fd::AsFd as _, path::Path};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, Program, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
};

use super::{KernelError, Pins, object::PORT_PROGRAM, sys};

/// Attaches it, and replaces it in the links of an earlier agent.
pub struct Ports {
    // The object, which owns the program.
    loaded: Ebpf,
    pins: Pins,
}

impl Ports {
    /// Loads the program, and puts it in force where an earlier agent had one.
    pub(super) fn new(loaded: Ebpf, pins: &Pins) -> Result<Self, KernelError> {
        let mut ports = Self {
            loaded,
            pins: pins.clone(),
        };
        let failed = KernelError::program(PORT_PROGRAM);
        ports.program()?.load().map_err(failed)?;
        for index in ports.guarded()? {
            ports.renew(index)?;
        }
        Ok(ports)
    }

    /// The interfaces that have a link.
    pub fn guarded(&self) -> Result<BTreeSet<u32>, KernelError> {
        guarded(&self.pins)
    }

    /// Attaches the program to an interface of the agent's own namespace. Before, PORTS must say
    /// whose it is: an interface that nobody knows is judged by the default policy.
    pub fn guard(&mut self, index: u32) -> Result<(), KernelError> {
        if self.guarded()?.contains(&index) && self.renew(index)? {
            return Ok(());
        }
        let path = self.pins.port(index);
        let name = nix::net::if_::if_indextoname(index)
            .ok()
            .and_then(|name| name.into_string().ok())
            .ok_or(KernelError::NoInterface { index })?;
        let failed = KernelError::program(PORT_PROGRAM);
        let program = self.program()?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program
            .attach_with_options(&name, TcAttachType::Ingress, options)
            .map_err(&failed)?;
        let link = program.take_link(id).map_err(&failed)?;
        let link = fd_link(link).map_err(|_| KernelError::Missing {
            name: "tcx (Linux 6.6)",
        })?;
        link.pin(&path).map(drop).map_err(|error| KernelError::Io {
            action: "pinning",
            path,
            source: std::io::Error::other(error),
        })
    }

    /// Takes it away again.
    pub fn release(&mut self, index: u32) -> Result<(), KernelError> {
        remove(&self.pins.port(index))
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

    fn program(&mut self) -> Result<&mut SchedClassifier, KernelError> {
        let name = PORT_PROGRAM;
        let program = self.loaded.program_mut(name);
        let program = program.ok_or(KernelError::Missing { name })?;
        program.try_into().map_err(KernelError::program(name))
    }

    /// Puts this program into the link of an interface; false, and no link any more, if the
    /// interface is gone.
    fn renew(&mut self, index: u32) -> Result<bool, KernelError> {
        let path = self.pins.port(index);
        let failed = |source| KernelError::Bpf {
            call: "LINK_UPDATE",
            name: PORT_PROGRAM.to_owned(),
            source,
        };
        let link = sys::open_pin(&path).map_err(failed)?;
        let fd = self
            .program()?
            .fd()
            .map_err(KernelError::program(PORT_PROGRAM))?;
        match sys::update_link(link.as_fd(), fd.as_fd()) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {
                remove(&path)?;
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The interfaces that have a link.
pub(super) fn guarded(pins: &Pins) -> Result<BTreeSet<u32>, KernelError> {
    let folder = pins.ports();
    let found = match fs::read_dir(&folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(KernelError::io("looking at", folder)(error)),
    };
    let index = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(found.filter_map(|entry| index(entry.ok()?)).collect())
}

fn fd_link(link: SchedClassifierLink) -> Result<FdLink, aya::programs::links::LinkError> {
    link.try_into()
}

fn remove(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(KernelError::io("removing", path)(error)),
    }
}
