//! Programs at an interface where the kernel has no links for them (before Linux 6.6): filters of the
//! clsact qdisc. The kernel keeps a filter until somebody removes it, agent or not; a directory
//! beside the pins says at which interfaces steer put some.

mod query;

use std::{collections::BTreeSet, fs, io::ErrorKind, path::Path};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType, TcError,
    links::Link,
    tc::{self, NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcHandle},
};

use super::{KernelError, object::PORT_PROGRAMS};

/// Before the filters of others.
const PRIORITY: u16 = 1;
/// By this one ours is found again.
const HANDLE: TcHandle = TcHandle::new(0, 0x57ee);

/// Puts a program in force at an interface, in the place of an earlier agent's if there is one.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    direction: TcAttachType,
) -> Result<(), ProgramError> {
    match tc::qdisc_add_clsact(interface) {
        Err(error) if code(&error) != Some(libc::EEXIST) => return Err(error.into()),
        // Somebody else's will do.
        Ok(()) | Err(_) => {}
    }
    if renew(program, interface, direction)? {
        return Ok(());
    }
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: PRIORITY,
        handle: HANDLE,
        classid: None,
    });
    let id = program.attach_with_options(interface, direction, options)?;
    keep(program, id)
}

/// Puts a program into our filter at an interface; false if there is none.
pub(super) fn renew(
    program: &mut SchedClassifier,
    interface: &str,
    direction: TcAttachType,
) -> Result<bool, ProgramError> {
    let renewed = ours(interface, direction).and_then(|link| program.attach_to_link(link));
    match renewed {
        Ok(id) => keep(program, id).map(|()| true),
        // No filter, no qdisc for it, or no interface any more.
        Err(ProgramError::TcError(error)) if query::is_absence(code(&error)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Dropped, it would take the filter along.
fn keep(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<(), ProgramError> {
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

fn ours(interface: &str, direction: TcAttachType) -> Result<SchedClassifierLink, ProgramError> {
    SchedClassifierLink::attached(interface, direction, PRIORITY, HANDLE, None)
        .map_err(|error| TcError::IoError(error).into())
}

/// The kernel's error number.
fn code(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => error.raw_os_error(),
        TcError::AlreadyAttached => Some(libc::EEXIST),
        TcError::NulError(_) | TcError::InvalidTcxAttach(_) | TcError::InvalidLinkOperation => None,
    }
}

/// Whether our filters are at an interface, with our programs in them: anybody who may administer the
/// network can remove or replace them.
pub(super) fn are_at(index: u32) -> bool {
    PORT_PROGRAMS.into_iter().all(|(program, direction)| {
        let place = query::Place {
            interface: index,
            direction,
            priority: PRIORITY,
            handle: HANDLE,
        };
        query::program_at(place).is_ok_and(|found| found.as_deref() == Some(program))
    })
}

/// Takes our filters from an interface, if it is still there and has some.
pub(super) fn detach(index: u32) {
    let Some(interface) = name(index) else {
        return;
    };
    for (_, direction) in PORT_PROGRAMS.into_iter().rev() {
        // What is gone already is gone.
        let _gone = ours(&interface, direction).and_then(Link::detach);
    }
}

/// What an interface is called; `None` if it is not there, which nix 0.31 tells by an empty name.
pub(super) fn name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    name.into_string().ok().filter(|name| !name.is_empty())
}

/// The interfaces that a directory names.
pub(super) fn marked(folder: &Path) -> Result<BTreeSet<u32>, KernelError> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(KernelError::io("looking at", folder)(error)),
    };
    let index = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(found.filter_map(|entry| index(entry.ok()?)).collect())
}

/// Notes that an interface has filters. In a BPF file system only pins can be files.
pub(super) fn mark(path: &Path) -> Result<(), KernelError> {
    fs::create_dir_all(path).map_err(KernelError::io("creating", path))
}

/// Forgets an interface.
pub(super) fn unmark(path: &Path) -> Result<(), KernelError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(KernelError::io("removing", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_has_no_name() {
        assert_eq!(name(1).as_deref(), Some("lo"));
        assert_eq!(name(u32::MAX >> 1), None);
    }
}
