//! The judgement, as a function of its own: the verifier reads it once for each program, whatever
//! led there.

use steer_common::{
    egress::HostId,
    logic::{Granted, Names, Ruling, Wish, granted, judge, stands},
};

use super::egress_maps::KernelEgress;

/// Judges one wish.
#[inline(always)]
pub(crate) fn ruling(wish: &Wish) -> Ruling {
    Ruling::from_word(steer_judge(wish))
}

/// Global, because the verifier follows a static function anew from each of its callers: with it
/// inside, connect6 goes beyond a million instructions (Linux 6.18).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_judge(wish: *const Wish) -> u64 {
    // SAFETY: null, which the verifier wants to see tested, or a whole wish.
    let Some(wish) = (unsafe { wish.as_ref() }) else {
        return 0;
    };
    Ruling::from(judge(&KernelEgress, wish)).word()
}

/// What the names of an address allow.
#[inline(always)]
pub(crate) fn names(wish: &Wish, names: Names) -> Granted {
    Granted::from_word(steer_granted(wish, names as u32))
}

/// Global, as `steer_judge` is and for the same reason.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_granted(wish: *const Wish, names: u32) -> u64 {
    // SAFETY: null, which the verifier wants to see tested, or a whole wish.
    let Some(wish) = (unsafe { wish.as_ref() }) else {
        return 0;
    };
    let names = if names == Names::Resolved as u32 {
        Names::Resolved
    } else {
        Names::Learned
    };
    granted(&KernelEgress, wish, names).word()
}

/// Whether a host, whose name the first bytes carry, may be reached.
#[inline(always)]
pub(crate) fn names_host(wish: &Wish, host: HostId) -> bool {
    steer_stands(wish, host) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_stands(wish: *const Wish, host: HostId) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or a whole wish.
    let Some(wish) = (unsafe { wish.as_ref() }) else {
        return 0;
    };
    u32::from(stands(&KernelEgress, wish, host))
}
