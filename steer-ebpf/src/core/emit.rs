//! Events: refusals, reported to the agent. Never waits: what does not fit is counted.

use core::ptr::{addr_of_mut, write_volatile};

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_coarse_ns};
use steer_common::{addr::Peer, egress::Event, reason::Reason};

use super::{count, egress_maps::Client};
use crate::maps::{EVENT_BUDGET, EVENTS, META};

/// What is reported. Of whole words: it is handed to a function of its own.
#[repr(C)]
pub(crate) struct Report {
    pub(crate) client: Client,
    pub(crate) peer: Peer,
    pub(crate) proto: u32,
    /// The number of the reason.
    pub(crate) reason: u32,
    /// `EventKind` as its number.
    pub(crate) kind: u32,
    /// `Layer` as its number.
    pub(crate) layer: u32,
    /// Always zero.
    pub(crate) pad: u32,
}

/// Reports what a packet did, if this second has room for it.
#[inline(always)]
pub(crate) fn packet(report: &Report) {
    if steer_report(report) != 0 {
        count::reason(Reason::EventsLost);
    }
}

/// Reports what a process did.
#[inline(always)]
pub(crate) fn attempt(report: &Report) {
    if steer_report_attempt(report) != 0 {
        count::reason(Reason::EventsLost);
    }
}

/// 0 if it was reported. A function of its own: the verifier reads it once for each program.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_report(report: *const Report) -> u32 {
    write(report, |_| {})
}

/// The same, with the process. Programs that see packets must not hold this one: Linux 6.1 knows
/// no `bpf_get_current_pid_tgid` in them, called or not.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steer_report_attempt(report: *const Report) -> u32 {
    write(report, process)
}

#[inline(always)]
fn write(report: *const Report, more: impl FnOnce(*mut Event)) -> u32 {
    // SAFETY: null, which the verifier wants to see tested, or a whole report.
    let Some(report) = (unsafe { report.as_ref() }) else {
        return 1;
    };
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_coarse_ns() };
    if !spend(time_ns) {
        return 1;
    }
    let Some(mut entry) = EVENTS.reserve(0) else {
        return 1;
    };
    fill(entry.as_mut_ptr(), report, time_ns);
    more(entry.as_mut_ptr());
    entry.submit(0);
    0
}

/// Field by field and volatile: an initialiser of this size becomes a byte-wise memset.
#[inline(always)]
fn fill(event: *mut Event, report: &Report, time_ns: u64) {
    // SAFETY: the entry is as long as the record, and ours until it is submitted.
    unsafe {
        let words = event.cast::<u32>();
        let mut word = 0;
        while word < size_of::<Event>() / 4 {
            write_volatile(words.add(word), 0);
            word += 1;
        }
        write_volatile(addr_of_mut!((*event).kind), report.kind);
        write_volatile(addr_of_mut!((*event).reason), report.reason);
        write_volatile(addr_of_mut!((*event).time_ns), time_ns);
        write_volatile(addr_of_mut!((*event).client), report.client.cookie);
        write_volatile(addr_of_mut!((*event).peer), report.peer);
        write_volatile(addr_of_mut!((*event).proto), report.proto);
        write_volatile(addr_of_mut!((*event).policy), report.client.policy);
        write_volatile(addr_of_mut!((*event).workload), report.client.workload);
        write_volatile(addr_of_mut!((*event).layer), report.layer);
    }
}

/// Who does it.
#[inline(always)]
fn process(event: *mut Event) {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: as above.
    unsafe { write_volatile(addr_of_mut!((*event).pid), pid) };
    if let Ok(comm) = bpf_get_current_comm() {
        // SAFETY: as above.
        unsafe { write_volatile(addr_of_mut!((*event).comm), comm) };
    }
}

/// One word of a CPU: the second in its high half, how many were reported in it in its low half.
#[inline(always)]
fn spend(time_ns: u64) -> bool {
    let Some(meta) = META.get(0) else {
        return false;
    };
    let Some(budget) = EVENT_BUDGET.get_ptr_mut(0) else {
        return false;
    };
    let second = time_ns / 1_000_000_000;
    // SAFETY: a valid row of this CPU; a program that interrupts this one costs an event more.
    unsafe {
        let spent = if *budget >> 32 == second & 0xffff_ffff {
            *budget & 0xffff_ffff
        } else {
            0
        };
        if spent >= u64::from(meta.events_per_sec) {
            return false;
        }
        *budget = second << 32 | (spent + 1);
    }
    true
}
