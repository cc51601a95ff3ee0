//! What is attached to a cgroup.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, RawFd},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use steer_tests::lab::Lab;

/// `BPF_CGROUP_*` of linux/bpf.h: connect, sendmsg, recvmsg and getpeername, of both families, and the
/// release of a socket.
const HOOKS: [u32; 9] = [10, 11, 14, 15, 19, 20, 29, 30, 34];
/// `BPF_CGROUP_INET_INGRESS` and `BPF_CGROUP_INET_EGRESS`.
const PACKET_HOOKS: [u32; 2] = [0, 1];
const PROG_QUERY: libc::c_long = 16;

/// The start of the kernel's attribute of `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: RawFd,
    attach_type: u32,
    flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    pad: u32,
}

/// Each hook has one program: none was lost, and no earlier agent's is left.
pub(crate) fn ensure_one_each(lab: &Lab) -> Result<()> {
    let cgroup = File::open(lab.dirs().cluster_cgroup().path())?;
    for hook in HOOKS {
        let count = programs(&cgroup, hook).context("ask for the programs of a hook")?;
        ensure!(count == 1, "hook {hook} has {count} programs");
    }
    Ok(())
}

/// Each hook that sees packets has `wanted` programs, soon: the kernel takes a link away a moment
/// after its last pin went.
pub(crate) fn ensure_packets(lab: &Lab, wanted: u32) -> Result<()> {
    let cgroup = File::open(lab.dirs().cluster_cgroup().path())?;
    for hook in PACKET_HOOKS {
        let started = Instant::now();
        loop {
            let count = programs(&cgroup, hook).context("ask for the programs of a hook")?;
            if count == wanted {
                break;
            }
            ensure!(
                started.elapsed() < Duration::from_secs(10),
                "hook {hook} has {count} programs, not {wanted}"
            );
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn programs(cgroup: &File, attach_type: u32) -> io::Result<u32> {
    let mut query = Query {
        target: cgroup.as_raw_fd(),
        attach_type,
        flags: 0,
        attach_flags: 0,
        programs: 0,
        count: 0,
        pad: 0,
    };
    // SAFETY: the attribute is as long as is said; without room for numbers the kernel only counts.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_QUERY,
            &raw mut query,
            size_of::<Query>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(query.count)
    }
}
