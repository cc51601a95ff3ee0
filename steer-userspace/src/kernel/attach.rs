//! Attaches the programs to a cgroup by pinned links, or replaces the programs in links that an
//! earlier agent pinned: never detached in between.

use std::{fs, io::ErrorKind::PermissionDenied, os::fd::AsFd as _};

use aya::{
    pin::PinError,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, Program,
        ProgramError, SockOps,
        links::{FdLink, LinkError},
    },
};

use super::{KernelError, Pins, cgroup, sys};

/// Attaches `program` to `target`.
pub(super) fn attach(
    name: &'static str,
    program: &mut Program,
    target: &fs::File,
    pins: &Pins,
) -> Result<(), KernelError> {
    let path = pins.link(name);
    if path.exists() {
        let link = sys::open_pin(&path).map_err(|source| bpf("OBJ_GET", name, source))?;
        let wanted = cgroup::id(target).map_err(KernelError::io("looking at", "the cgroup"))?;
        let info = sys::link_info(link.as_fd())
            .map_err(|source| bpf("OBJ_GET_INFO_BY_FD", name, source))?;
        if info.cgroup_id == wanted {
            let fd = program.fd().map_err(KernelError::program(name))?;
            return sys::update_link(link.as_fd(), fd.as_fd())
                .map_err(|source| bpf("LINK_UPDATE", name, source));
        }
        // Of another cgroup, or of one that is gone: attach to ours first, then let it go.
        let fresh = link_to(name, program, target)?;
        fs::remove_file(&path).map_err(KernelError::io("removing", &path))?;
        return pin(name, fresh, pins);
    }
    let fresh = link_to(name, program, target)?;
    pin(name, fresh, pins)
}

fn link_to(
    name: &'static str,
    program: &mut Program,
    target: &fs::File,
) -> Result<FdLink, KernelError> {
    // A link is always multi; AllowMultiple is a flag of the older attach call and gives EINVAL.
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSockAddr(program) => sock_addr(program, target, mode),
        Program::CgroupSkb(program) => skb(program, target, mode),
        Program::CgroupSock(program) => sock(program, target, mode),
        Program::SockOps(program) => sock_ops(program, target, mode),
        _ => return Err(KernelError::Missing { name }),
    };
    match link {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(_)) => Err(KernelError::Missing {
            name: "BPF_LINK_CREATE (Linux 5.7)",
        }),
        // The program could be loaded, so it is not for lack of privileges.
        Err(ProgramError::SyscallError(error)) if error.io_error.kind() == PermissionDenied => {
            Err(KernelError::Occupied { name })
        }
        Err(error) => Err(KernelError::program(name)(error)),
    }
}

fn sock_addr(
    program: &mut CgroupSockAddr,
    target: &fs::File,
    mode: CgroupAttachMode,
) -> Result<Result<FdLink, LinkError>, ProgramError> {
    let id = program.attach(target, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?))
}

fn sock(
    program: &mut CgroupSock,
    target: &fs::File,
    mode: CgroupAttachMode,
) -> Result<Result<FdLink, LinkError>, ProgramError> {
    let id = program.attach(target, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?))
}

fn sock_ops(
    program: &mut SockOps,
    target: &fs::File,
    mode: CgroupAttachMode,
) -> Result<Result<FdLink, LinkError>, ProgramError> {
    let id = program.attach(target, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?))
}

fn skb(
    program: &mut CgroupSkb,
    target: &fs::File,
    mode: CgroupAttachMode,
) -> Result<Result<FdLink, LinkError>, ProgramError> {
    // Attached where its section says; what is asked for here must agree.
    let kind = program
        .expected_attach_type()
        .unwrap_or(CgroupSkbAttachType::Egress);
    let id = program.attach(target, kind, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?))
}

fn pin(name: &'static str, link: FdLink, pins: &Pins) -> Result<(), KernelError> {
    let path = pins.link(name);
    // Dropping the pinned link closes a descriptor; the pin keeps the link.
    link.pin(&path).map(drop).map_err(|error| match error {
        PinError::SyscallError(error) => bpf("OBJ_PIN", name, error.io_error),
        PinError::InvalidPinPath { .. } | PinError::NoFd { .. } => {
            KernelError::NotBpffs { path: path.clone() }
        }
    })
}

fn bpf(call: &'static str, name: &str, source: std::io::Error) -> KernelError {
    KernelError::Bpf {
        call,
        name: name.to_owned(),
        source,
    }
}
