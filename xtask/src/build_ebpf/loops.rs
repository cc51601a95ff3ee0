//! Loops in the compiled kernel programs: every way back is a jump.
//!
//! Linux 6.1 follows a program depth first, and refuses one in which an instruction that is no jump leads
//! to another that is still being followed ("back-edge from insn"). LLVM makes such loops of those
//! that are entered in the middle. Later kernels do not mind, so it is checked here.

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

/// Load of a 64-bit immediate: it takes the place of two instructions.
const LOAD_IMMEDIATE_64: u8 = 0x18;
/// Classes of jumps, with 64-bit and with 32-bit operands.
const JUMP: u8 = 5;
const JUMP_32: u8 = 6;
/// Operations of these classes.
const ALWAYS: u8 = 0;
const CALL: u8 = 8;
const EXIT: u8 = 9;

/// Where an instruction leads.
struct Way {
    to: usize,
    jump: bool,
}

/// An error if a function has a loop that Linux 6.1 refuses.
pub(crate) fn check(object: &[u8]) -> Result<()> {
    let file = object::File::parse(object).context("not an object file")?;
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
    {
        let Some(index) = symbol.section_index() else {
            continue;
        };
        let section = file.section_by_index(index)?;
        if section.kind() != SectionKind::Text {
            continue;
        }
        let code = section.data()?;
        let (start, size) = (symbol.address(), symbol.size());
        let (start, size) = (usize::try_from(start)?, usize::try_from(size)?);
        let function = code
            .get(start..start + size)
            .context("a function beyond its section")?;
        let name = symbol.name()?;
        if let Some((from, to)) = refused(function).with_context(|| name.to_owned())? {
            anyhow::bail!(
                "{name}: instruction {from} leads back to {to} without a jump, which Linux 6.1 refuses: \
                 give the loop one way round"
            );
        }
    }
    Ok(())
}

/// The first way back that is no jump, found as the kernel does.
fn refused(code: &[u8]) -> Result<Option<(usize, usize)>> {
    let (code, rest) = code.as_chunks::<8>();
    ensure!(rest.is_empty(), "the code is cut within an instruction");
    // Untouched, being followed, done.
    let mut state = vec![0_u8; code.len()];
    let mut path = vec![(0, ways(code, 0))];
    if let Some(first) = state.first_mut() {
        *first = 1;
    }
    while let Some((from, left)) = path.last_mut() {
        let from = *from;
        let Some(way) = left.pop() else {
            state[from] = 2;
            path.pop();
            continue;
        };
        let found = state.get(way.to).context("a jump beyond the function")?;
        match *found {
            0 => {
                state[way.to] = 1;
                path.push((way.to, ways(code, way.to)));
            }
            1 if !way.jump => return Ok(Some((from, way.to))),
            _ => {}
        }
    }
    Ok(None)
}

/// Where an instruction leads; the last is followed first: on, before away.
fn ways(code: &[[u8; 8]], at: usize) -> Vec<Way> {
    let Some([opcode, _, low, high, immediate @ ..]) = code.get(at) else {
        return Vec::new();
    };
    let away =
        |offset: i64| at.wrapping_add_signed(isize::try_from(offset + 1).unwrap_or_default());
    let short = i64::from(i16::from_le_bytes([*low, *high]));
    let on = |by: usize, jump: bool| Way { to: at + by, jump };
    let jump = |offset: i64| Way {
        to: away(offset),
        jump: true,
    };
    match (*opcode & 7, *opcode >> 4) {
        _ if *opcode == LOAD_IMMEDIATE_64 => vec![on(2, false)],
        (JUMP | JUMP_32, EXIT) => Vec::new(),
        (JUMP | JUMP_32, CALL) => vec![on(1, false)],
        (JUMP, ALWAYS) => vec![jump(short)],
        (JUMP_32, ALWAYS) => vec![jump(i64::from(i32::from_le_bytes(*immediate)))],
        (JUMP | JUMP_32, _) => vec![jump(short), on(1, true)],
        _ => vec![on(1, false)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    // As llvm-objdump prints them.
    /// `r1 += 1`
    const ADD: [u8; 8] = [0x07, 1, 0, 0, 1, 0, 0, 0];
    const LEAVE: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    /// `if r1 != 8 goto` so many instructions further.
    fn unless(offset: i16) -> [u8; 8] {
        let [low, high] = offset.to_le_bytes();
        [0x55, 1, low, high, 8, 0, 0, 0]
    }

    #[test]
    fn a_loop_with_one_way_round_is_accepted() -> Result<()> {
        let code = [ADD, unless(-2), LEAVE].concat();
        assert_eq!(refused(&code)?, None);
        Ok(())
    }

    /// Entered at its second instruction, it falls into that again from the first.
    #[test]
    fn a_loop_that_is_entered_in_the_middle_is_refused() -> Result<()> {
        let code = [unless(1), ADD, ADD, unless(-3), LEAVE].concat();
        assert_eq!(refused(&code)?, None);
        let skip = [0x05, 0, 1, 0, 0, 0, 0, 0];
        let code = [skip, ADD, ADD, unless(-3), LEAVE].concat();
        assert_eq!(refused(&code)?, Some((1, 2)));
        Ok(())
    }

    #[test]
    fn the_built_object_is_accepted() {
        let object = std::fs::read(workspace::bpf_object()).expect("cargo xtask build-ebpf");
        check(&object).unwrap();
    }
}
