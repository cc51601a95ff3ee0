//! What a running agent may do: what it needs for life is kept, the rest is dropped once the programs
//! are loaded. Capabilities are a thread's: to be done before others are started.
#![expect(unsafe_code, reason = "system calls that nix does not wrap")]

use std::io;

use super::KernelError;

/// A capability that a running agent keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// Its number (capabilities(7)).
    pub bit: u32,
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub reason: &'static str,
}

/// Those that a running agent keeps. Without `CAP_PERFMON` and the others no program can be loaded any
/// more, which is done once, at the start.
pub const KEPT: [Capability; 5] = [
    Capability {
        bit: 10,
        name: "CAP_NET_BIND_SERVICE",
        reason: "listens at ports below 1024 where a gateway has one by hostPort",
    },
    Capability {
        bit: 12,
        name: "CAP_NET_ADMIN",
        reason: "attaches the guard to the interfaces of new pods, and programs that somebody detached",
    },
    Capability {
        bit: 19,
        name: "CAP_SYS_PTRACE",
        reason: "looks at the network namespaces of processes that are not its own, to find new pods",
    },
    Capability {
        bit: 21,
        name: "CAP_SYS_ADMIN",
        reason: "enters the network namespaces of new pods, to read their addresses",
    },
    Capability {
        bit: 39,
        name: "CAP_BPF",
        reason: "writes and reads maps, where the kernel allows that to nobody else",
    },
];

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Drops every capability that is not in `KEPT`, for this thread and what it starts, and the way to get
/// one back.
pub fn drop_others() -> Result<(), KernelError> {
    let failed = |source| KernelError::Io {
        action: "dropping capabilities of",
        path: "/proc/self".into(),
        source,
    };
    let kept = KEPT.iter().fold(0_u64, |set, one| set | 1 << one.bit);
    drop_bounding(kept).map_err(failed)?;
    let mut sets = get().map_err(failed)?;
    for (half, set) in sets.iter_mut().enumerate() {
        let kept = word(kept >> (32 * half));
        set.permitted &= kept;
        set.effective = set.permitted;
        set.inheritable = 0;
    }
    set(&sets).map_err(failed)?;
    // SAFETY: no pointers.
    let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(done.into()).map_err(failed)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn word(set: u64) -> u32 {
    set as u32
}

/// What a program that is started could get. To leave it as it is takes nothing away that counts.
fn drop_bounding(kept: u64) -> io::Result<()> {
    for bit in 0..64_u32 {
        if kept & (1 << bit) != 0 {
            continue;
        }
        // SAFETY: no pointers.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(bit), 0, 0, 0) };
        match check(done.into()) {
            Ok(()) => {}
            // A number that this kernel does not know: there are no further ones. Or this process may
            // not: it is not root.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn header() -> Header {
    Header {
        version: VERSION_3,
        pid: 0,
    }
}

fn get() -> io::Result<[Sets; 2]> {
    let mut sets = [Sets::default(); 2];
    let header = header();
    // SAFETY: version 3 writes two sets, and both outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) };
    check(done).map(|()| sets)
}

fn set(sets: &[Sets; 2]) -> io::Result<()> {
    let header = header();
    // SAFETY: version 3 reads two sets, and both outlive the call.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    check(done)
}

fn check(done: i64) -> io::Result<()> {
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
