//! Which atomic instructions the compiled kernel programs hold.
//!
//! A ticket is taken by an atomic add that returns the old value. LLVM turns a Relaxed one into an
//! add without a fetch and goes on with the operand as the result (rustc 1.96, LLVM 22): every
//! connection would draw the same ticket. The verifier accepts that, so it is checked here, on
//! the instructions themselves.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _, SectionKind};

/// The programs that take a ticket or count by one, each in one place; by name, as the check reports them.
const TICKETS: [&str; 7] = [
    // Functions that programs share: turns of HELLOS.
    ".text",
    "cgroup/connect4",
    "cgroup/connect6",
    "cgroup/sendmsg4",
    "cgroup/sendmsg6",
    // Requests of a segment.
    "cgroup_skb/egress",
    // Of all that see frames: the one at the uplinks.
    "classifier",
];

/// One instruction is eight bytes: opcode, registers, offset, immediate.
const INSTRUCTION_BYTES: usize = 8;
/// Load of a 64-bit immediate: it takes the place of two instructions.
const LOAD_IMMEDIATE_64: u8 = 0x18;
/// Class STX, mode ATOMIC, of 32 and of 64 bits.
const ATOMIC: [u8; 2] = [0xc3, 0xdb];
/// Immediate of an atomic instruction: the operation, and whether it returns the old value.
const ADD: i32 = 0x00;
const FETCH: i32 = 0x01;

/// The number of fetching adds by section; an error if they are not as they must be.
pub(crate) fn check(object: &[u8]) -> Result<Vec<(String, usize)>> {
    let file = object::File::parse(object).context("not an object file")?;
    let mut found = BTreeMap::new();
    for section in file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
    {
        let name = section.name()?.to_owned();
        let adds = fetching_adds(section.data()?).with_context(|| format!("section {name}"))?;
        found.insert(name, adds);
    }
    for name in TICKETS {
        let adds = found
            .get(name)
            .with_context(|| format!("there is no program {name}"))?;
        ensure!(
            *adds == 1,
            "{name} takes its ticket in one place, but has {adds} fetching adds"
        );
    }
    let stray = found
        .iter()
        .find(|(name, adds)| **adds > 0 && !TICKETS.contains(&name.as_str()));
    if let Some((name, adds)) = stray {
        bail!("{name} takes no ticket, but has {adds} fetching adds");
    }
    Ok(found.into_iter().filter(|(_, adds)| *adds > 0).collect())
}

/// Counts atomic adds that fetch; one that does not is an error.
fn fetching_adds(code: &[u8]) -> Result<usize> {
    let (instructions, rest) = code.as_chunks::<INSTRUCTION_BYTES>();
    ensure!(rest.is_empty(), "the code is cut within an instruction");
    let mut instructions = instructions.iter().enumerate();
    let mut adds = 0;
    while let Some((index, &[opcode, _, _, _, immediate @ ..])) = instructions.next() {
        if opcode == LOAD_IMMEDIATE_64 {
            instructions.next();
        } else if ATOMIC.contains(&opcode) {
            match i32::from_le_bytes(immediate) {
                operation if operation == ADD | FETCH => adds += 1,
                ADD => bail!(
                    "instruction {index} is an atomic add without a fetch: its old value is lost"
                ),
                _ => {}
            }
        }
    }
    Ok(adds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    // As llvm-objdump prints them.
    /// `r1 = atomic_fetch_add((u64 *)(r0 + 0x0), r1)`
    const FETCHING: [u8; 8] = [0xdb, 0x10, 0, 0, 1, 0, 0, 0];
    /// `lock *(u64 *)(r0 + 0x0) += r1`
    const NOT_FETCHING: [u8; 8] = [0xdb, 0x10, 0, 0, 0, 0, 0, 0];
    /// `lock *(u32 *)(r0 + 0x0) += w1`
    const NOT_FETCHING_32: [u8; 8] = [0xc3, 0x10, 0, 0, 0, 0, 0, 0];
    /// `r1 = xchg_64(r0 + 0x0, r1)`
    const EXCHANGE: [u8; 8] = [0xdb, 0x10, 0, 0, 0xe1, 0, 0, 0];
    /// `r1 = IMMEDIATE ll`, whose second half looks like a lost ticket.
    const LOAD: [[u8; 8]; 2] = [[0x18, 1, 0, 0, 0, 0, 0, 0], NOT_FETCHING];

    #[test]
    fn fetching_adds_are_counted() -> Result<()> {
        let code = [FETCHING, EXCHANGE, LOAD[0], LOAD[1], FETCHING].concat();
        assert_eq!(fetching_adds(&code)?, 2);
        Ok(())
    }

    /// The miscompilation this gate is for.
    #[test]
    fn an_add_that_lost_its_fetch_is_refused() {
        for bad in [NOT_FETCHING, NOT_FETCHING_32] {
            let error = fetching_adds(&[FETCHING, bad].concat()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("instruction 1 is an atomic add without a fetch")
            );
        }
    }

    #[test]
    fn cut_code_is_refused() {
        assert!(fetching_adds(&FETCHING[..7]).is_err());
    }

    /// The object that this checkout ships holds one ticket for each program that takes one.
    #[test]
    fn the_built_object_takes_one_ticket_per_program() {
        let object = std::fs::read(workspace::bpf_object()).expect("cargo xtask build-ebpf");
        let found = check(&object).unwrap();
        assert_eq!(found, TICKETS.map(|name| (name.to_owned(), 1)));
    }

    /// The same object, with its first ticket compiled as a Relaxed one would be.
    #[test]
    fn the_built_object_with_a_lost_ticket_is_refused() {
        let mut object = std::fs::read(workspace::bpf_object()).expect("cargo xtask build-ebpf");
        let ticket = object
            .windows(8)
            .position(|bytes| bytes == FETCHING)
            .expect("a ticket");
        object[ticket + 4] = 0;
        let error = format!("{:#}", check(&object).unwrap_err());
        assert!(error.contains("without a fetch"), "{error}");
    }
}
