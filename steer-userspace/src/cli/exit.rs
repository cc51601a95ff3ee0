//! Exit codes, and how errors are told.

use std::{io::Write as _, process::ExitCode};

use crate::{
    control::{AgentError, EngineError},
    kernel::KernelError,
};

/// How a command ends when nothing went wrong in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Done,
    /// The answer is no.
    No,
    /// Wrong usage, or input that cannot be read.
    Usage,
    /// Not supported on this kernel or machine.
    Unsupported,
    /// Findings at error level.
    Findings,
}

impl Exit {
    /// As the shell sees it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unsupported => 69,
            Self::Findings => 79,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Tells an error once, with its causes, on standard error.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that went away (`steer get ... | head`) is no failure.
    if error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }) {
        return Exit::Done.into();
    }
    // Nobody is left to be told if standard error is closed.
    let _told = writeln!(std::io::stderr(), "steer: {error:#}");
    exit_of(error).into()
}

fn exit_of(error: &anyhow::Error) -> Exit {
    match error.chain().find_map(kernel_error) {
        Some(
            KernelError::NoCgroup2
            | KernelError::NotBpffs { .. }
            | KernelError::NoBtf
            | KernelError::TooOld { .. }
            | KernelError::NotPermitted { .. }
            | KernelError::Load { .. }
            | KernelError::Program { .. },
        ) => Exit::Unsupported,
        Some(_) => Exit::No,
        None => Exit::Usage,
    }
}

/// Transparent errors are no links of the chain: they are looked into.
fn kernel_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a KernelError> {
    let engine = |error: &'a EngineError| match error {
        EngineError::Kernel(error) => Some(error),
        _ => None,
    };
    let agent = match cause.downcast_ref::<AgentError>() {
        Some(AgentError::Kernel(error)) => Some(error),
        Some(AgentError::Engine(error)) => engine(error),
        _ => None,
    };
    agent
        .or_else(|| cause.downcast_ref::<EngineError>().and_then(engine))
        .or_else(|| cause.downcast_ref())
}
