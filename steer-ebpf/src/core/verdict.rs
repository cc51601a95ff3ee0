//! Verdicts, and the literals the kernel wants for them.

use aya_ebpf::helpers::bpf_set_retval;

/// What a connect or sendmsg hook decided.
#[must_use]
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Go on, to the address the context holds now.
    Allow,
    /// Fail with ECONNREFUSED.
    Refuse,
}

const ECONNREFUSED: i32 = 111;

impl Verdict {
    /// For cgroup/connect* and cgroup/sendmsg*.
    #[inline(always)]
    pub(crate) fn literal(self) -> i32 {
        match self {
            Self::Allow => 1,
            Self::Refuse => {
                // SAFETY: a helper without pointers. The argument is a literal: Linux 7.2 wants it
                // proven within [-4095, 0].
                unsafe { bpf_set_retval(-ECONNREFUSED) };
                0
            }
        }
    }
}

/// cgroup/recvmsg* and cgroup/getpeername* may only say this.
pub(crate) const GO_ON: i32 = 1;
