//! Whether this process may load programs, asked before anything is touched.

use std::fs;

use super::KernelError;

/// Bits of capabilities(7).
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// An error if the process lacks what `action` needs.
pub fn check(action: &'static str) -> Result<(), KernelError> {
    let path = "/proc/self/status";
    let status = fs::read_to_string(path).map_err(KernelError::io("reading", path))?;
    if suffices(&status) {
        return Ok(());
    }
    Err(KernelError::NotPermitted { action })
}

/// From the text of a status file (proc(5)). `CAP_SYS_ADMIN` includes the two newer ones.
fn suffices(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    let has = |bit: u32| set.is_some_and(|set| set & (1 << bit) != 0);
    has(NET_ADMIN) && (has(SYS_ADMIN) || (has(BPF) && has(PERFMON)))
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
