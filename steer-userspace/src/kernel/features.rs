//! What this kernel has of what steer can use: found out by trying, never by its version.

use std::io;

use aya::{
    programs::{ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported},
};

use super::{KernelError, sys, types::Types};

/// Helpers without which there is no steer: the program that needs it, and its name.
const REQUIRED: [(ProgramType, BpfHelper, &str); 3] = [
    (CONNECT, BpfHelper::BPF_FUNC_set_retval, "bpf_set_retval"),
    (
        CONNECT,
        BpfHelper::BPF_FUNC_get_netns_cookie,
        "bpf_get_netns_cookie",
    ),
    (
        ProgramType::SchedClassifier,
        BpfHelper::BPF_FUNC_loop,
        "bpf_loop",
    ),
];
const CONNECT: ProgramType = ProgramType::CgroupSockAddr;

/// What this kernel has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    /// Where the cookie of a packet's network namespace is; `None` if programs can ask for it.
    pub netns_fields: Option<[u32; 3]>,
    /// Which bit of a socket says that it speaks IPv6 only; 0 if that cannot be known.
    pub v6_only_bit: u32,
    /// Programs can be attached to interfaces by links.
    pub tcx: bool,
}

impl Features {
    /// Asks the kernel. An error names all that is missing and cannot be done without.
    pub fn probe() -> Result<Self, KernelError> {
        let mut missing = Vec::new();
        for (kind, helper, name) in REQUIRED {
            if !has(kind, helper, name)? {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            return Err(KernelError::TooOld {
                missing: missing.join(", "),
            });
        }
        Ok(Self {
            netns_fields: netns_fields()?,
            v6_only_bit: v6_only_bit()?,
            tcx: tcx()?,
        })
    }
}

fn has(kind: ProgramType, helper: BpfHelper, name: &'static str) -> Result<bool, KernelError> {
    is_helper_supported(kind, helper).map_err(|error| match error {
        ProgramError::SyscallError(error)
            if error.io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            KernelError::NotPermitted {
                action: "asking for features",
            }
        }
        error => KernelError::program(name)(error),
    })
}

/// `bpf_get_netns_cookie` in programs that see packets (Linux 6.15), or else where it would look.
fn netns_fields() -> Result<Option<[u32; 3]>, KernelError> {
    let kind = ProgramType::CgroupSkb;
    let name = "bpf_get_netns_cookie";
    if has(kind, BpfHelper::BPF_FUNC_get_netns_cookie, name)? {
        return Ok(None);
    }
    let name = "bpf_probe_read_kernel";
    if !has(kind, BpfHelper::BPF_FUNC_probe_read_kernel, name)? {
        return Err(KernelError::TooOld {
            missing: "bpf_get_netns_cookie for packets, and bpf_probe_read_kernel (a kernel in \
                      lockdown has none)"
                .to_owned(),
        });
    }
    fields(&Types::read()?).map(Some).ok_or(KernelError::NoBtf)
}

/// The bit is looked for among the first bytes of a socket, which is all that the program reads.
fn v6_only_bit() -> Result<u32, KernelError> {
    let name = "bpf_probe_read_kernel";
    if !has(CONNECT, BpfHelper::BPF_FUNC_probe_read_kernel, name)? {
        return Ok(0);
    }
    let Ok(types) = Types::read() else {
        return Ok(0);
    };
    let bit = types.bit("sock_common", "skc_ipv6only");
    Ok(bit.filter(|bit| *bit < 8 * SOCKET_BYTES).unwrap_or(0))
}

/// As `steer-ebpf` reads.
const SOCKET_BYTES: u32 = 32;

/// The socket in a packet, the namespace in a socket, the cookie in a namespace.
fn fields(types: &Types) -> Option<[u32; 3]> {
    let common = types.offset("sock", "__sk_common")?;
    let net = types.offset("sock_common", "skc_net")?;
    Some([
        types.offset("sk_buff", "sk")?,
        common + net,
        types.offset("net", "net_cookie")?,
    ])
}

/// Whether links to interfaces are known (Linux 6.6): asked of loopback, which is there.
fn tcx() -> Result<bool, KernelError> {
    const LOOPBACK: u32 = 1;
    #[cfg(feature = "faults")]
    if super::fault::hides_tcx() {
        return Ok(false);
    }
    match sys::is_tcx_known(LOOPBACK) {
        Ok(known) => Ok(known),
        Err(source) => Err(KernelError::Bpf {
            call: "PROG_QUERY",
            name: "tcx".to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_kernel_says_that_it_speaks_ipv6_only() {
        assert_ne!(v6_only_bit().unwrap(), 0);
    }

    /// The offsets are where they can be: pointers and 64-bit numbers are aligned.
    #[test]
    fn fields_of_this_kernel_are_aligned() {
        let fields = fields(&Types::read().unwrap()).unwrap();
        assert!(
            fields.iter().all(|offset| *offset > 0 && offset % 8 == 0),
            "{fields:?}"
        );
    }
}
