//! Commands of bpf(2) for measuring: counting runs, and an empty program as the base line.
#![expect(
    unsafe_code,
    reason = "aya loads programs from objects; the empty one is two instructions"
)]

use std::{
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    time::Duration,
};

use anyhow::{Context as _, Result};
use steer::kernel::Runs;

const PROG_LOAD: i64 = 5;
const LINK_CREATE: i64 = 28;
const ENABLE_STATS: i64 = 32;
const CGROUP_SOCK_ADDR: u32 = 18;
const INET4_CONNECT: u32 = 10;

/// The kernel counts runs for as long as this is held: the descriptor, not a switch that a killed
/// process would leave on.
pub(crate) struct Counting {
    _held: OwnedFd,
}

impl Counting {
    /// Begins.
    pub(crate) fn start() -> Result<Self> {
        // BPF_STATS_RUN_TIME is 0.
        let held = bpf(ENABLE_STATS, &0_u32).context("let the kernel count runs of programs")?;
        Ok(Self { _held: held })
    }
}

/// A program on connect4 that allows everything and does nothing, attached for as long as it is held.
pub(crate) struct Empty {
    program: OwnedFd,
    _link: OwnedFd,
}

/// The start of the kernel's attribute of `BPF_PROG_LOAD` (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
struct Link {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

impl Empty {
    /// Loads and attaches it.
    pub(crate) fn attach(cgroup: &File) -> Result<Self> {
        // r0 = 1; exit
        let instructions: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
        let load = Load {
            kind: CGROUP_SOCK_ADDR,
            count: 2,
            instructions: instructions.as_ptr().expose_provenance() as u64,
            license: c"GPL".as_ptr().expose_provenance() as u64,
            attach_type: INET4_CONNECT,
            ..Load::default()
        };
        let program = bpf(PROG_LOAD, &load).context("load an empty program")?;
        let link = Link {
            program: program.as_raw_fd().cast_unsigned(),
            target: cgroup.as_raw_fd().cast_unsigned(),
            attach_type: INET4_CONNECT,
            flags: 0,
        };
        let link = bpf(LINK_CREATE, &link).context("attach an empty program")?;
        Ok(Self {
            program,
            _link: link,
        })
    }

    /// What the kernel counted of it.
    pub(crate) fn runs(&self) -> Result<Runs> {
        let path = format!("/proc/self/fdinfo/{}", self.program.as_raw_fd());
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(Runs {
            count: field(&text, "run_cnt").context("run_cnt")?,
            time: Duration::from_nanos(field(&text, "run_time_ns").context("run_time_ns")?),
        })
    }
}

/// A number of a descriptor's information.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.trim().parse().ok()
}

fn bpf<T>(command: i64, attribute: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attribute begins as the kernel's does, and what it points to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attribute,
            size_of::<T>(),
        )
    };
    let fd = RawFd::try_from(result).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned it and it belongs to nobody.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
