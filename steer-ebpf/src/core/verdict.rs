//! Verdicts, and the literals the kernel wants for them.

use aya_ebpf::helpers::bpf_set_retval;
use steer_common::egress::meta;

/// What a connect or sendmsg hook decided.
#[must_use]
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Go on, to the address the context holds now.
    Allow,
    /// Fail with this errno.
    Refuse(u32),
}

impl Verdict {
    /// For cgroup/connect* and cgroup/sendmsg*.
    #[inline(always)]
    pub(crate) fn literal(self) -> i32 {
        match self {
            Self::Allow => 1,
            Self::Refuse(errno) => {
                // SAFETY: a helper without pointers. The argument is a literal: Linux 7.2 wants it
                // proven within [-4095, 0].
                let fail = |errno: i32| unsafe { bpf_set_retval(errno) };
                match errno {
                    meta::EPERM => fail(-1),
                    meta::ENETUNREACH => fail(-101),
                    meta::EHOSTUNREACH => fail(-113),
                    _ => fail(-111),
                };
                0
            }
        }
    }
}

/// cgroup/recvmsg* and cgroup/getpeername* may only say this.
pub(crate) const GO_ON: i32 = 1;

/// What a packet hook decided.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way.
    Pass,
    /// Not one step further, and whoever sent it may be told.
    Drop,
    /// Not one step further, in silence: it may be sent again.
    Lose,
}

impl Fate {
    /// For tcx: what passes goes on to whoever else is attached.
    #[inline(always)]
    pub(crate) fn tcx_literal(self) -> i32 {
        match self {
            Self::Pass => TCX_NEXT,
            Self::Drop | Self::Lose => TCX_DROP,
        }
    }

    /// For `cgroup_skb`: the sender of a dropped packet sees EPERM.
    #[inline(always)]
    pub(crate) fn cgroup_literal(self) -> i32 {
        match self {
            Self::Pass => 1,
            Self::Drop | Self::Lose => 0,
        }
    }
}

const TCX_NEXT: i32 = -1;
const TCX_DROP: i32 = 2;
