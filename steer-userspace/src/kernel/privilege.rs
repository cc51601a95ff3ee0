//! Whether this process may load programs, asked before anything is touched.

use std::fs;

use super::KernelError;

/// Bits of capabilities(7).
const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// An error if the process lacks what `action` needs.
pub fn check(action: &'static str) -> Result<(), KernelError> {
    if suffices(&status()?) {
        return Ok(());
    }
    Err(KernelError::NotPermitted { action })
}

/// Whether the process may enter the network namespaces of others, to see which pod is which.
pub fn may_enter() -> Result<bool, KernelError> {
    let set = effective(&status()?);
    Ok([SYS_ADMIN, SYS_PTRACE]
        .iter()
        .all(|bit| set & (1 << bit) != 0))
}

fn status() -> Result<String, KernelError> {
    let path = "/proc/self/status";
    fs::read_to_string(path).map_err(KernelError::io("reading", path))
}

/// From the text of a status file (proc(5)). `CAP_SYS_ADMIN` includes the two newer ones.
fn suffices(status: &str) -> bool {
    let set = effective(status);
    let has = |bit: u32| set & (1 << bit) != 0;
    has(NET_ADMIN) && (has(SYS_ADMIN) || (has(BPF) && has(PERFMON)))
}

/// The effective capabilities; none if the text does not say.
fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_and_nobody_may_not() {
        assert!(suffices("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!suffices("CapEff:\t0000000000000000\n") && !suffices(""));
        let bits = |bits: &[u32]| bits.iter().fold(0_u64, |set, bit| set | 1 << bit);
        let line = |set: u64| format!("CapEff:\t{set:016x}\n");
        assert!(suffices(&line(bits(&[NET_ADMIN, PERFMON, BPF]))));
        assert!(suffices(&line(bits(&[NET_ADMIN, SYS_ADMIN]))));
        assert!(!suffices(&line(bits(&[PERFMON, BPF, SYS_ADMIN]))));
    }
}
