//! Runs a packet program on a frame that nobody sent (`BPF_PROG_TEST_RUN`): for the tables of tests,
//! and to measure.

use std::time::Duration;

use aya::programs::{Program, ProgramError, TestRun as _, TestRunOptions};

use super::{Kernel, KernelError};

/// What a program is run on.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The frame, from its Ethernet header on.
    pub frame: &'a [u8],
    /// The index of the interface it seems to be on, in the namespace of the caller.
    pub interface: u32,
    /// How often.
    pub repeat: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// What the program returned.
    pub verdict: i32,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// How long one run took, on average.
    pub took: Duration,
}

/// Bytes of the kernel's `__sk_buff` up to its interface, and the offset of that.
const CONTEXT: usize = 44;
const INTERFACE: usize = 40;

impl Kernel {
    /// Runs the program `name`.
    pub fn trial(&mut self, name: &'static str, trial: &Trial<'_>) -> Result<Tried, KernelError> {
        let program = self.ports_mut().loaded_program(name)?;
        let mut context = [0; CONTEXT];
        context[INTERFACE..].copy_from_slice(&trial.interface.to_ne_bytes());
        let mut out = vec![0; trial.frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(trial.frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            repeat: trial.repeat,
            ..TestRunOptions::new()
        };
        let result = match program {
            Program::SchedClassifier(program) => program.test_run(options),
            Program::CgroupSkb(program) => program.test_run(options),
            _ => Err(ProgramError::UnexpectedProgramType),
        };
        let result = result.map_err(KernelError::program(name))?;
        out.truncate(result.data_size_out as usize);
        Ok(Tried {
            verdict: result.return_value.cast_signed(),
            frame: out,
            took: result.duration,
        })
    }
}
