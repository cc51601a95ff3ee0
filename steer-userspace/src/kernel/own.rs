//! The agent's own sockets: the kernel is told which they are, by a note beside each that no process
//! of a pod can write.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use steer_common::flow::Origin;

use super::{KernelError, Pins, sys};

/// ORIGIN, to write such notes.
#[derive(Debug)]
pub struct OwnSockets {
    map: OwnedFd,
}

impl OwnSockets {
    /// Opens it.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let map = sys::open_pin(&pins.map(NAME)).map_err(failed("OBJ_GET"))?;
        Ok(Self { map })
    }

    /// Notes that a socket is the agent's: it dials endpoints, and is not steered again.
    pub fn mark(&self, socket: BorrowedFd<'_>) -> Result<(), KernelError> {
        sys::keep_beside(self.map.as_fd(), socket, &Origin::of_agent())
            .map_err(failed("MAP_UPDATE_ELEM"))
    }
}

const NAME: &str = "ORIGIN";

fn failed(call: &'static str) -> impl Fn(std::io::Error) -> KernelError {
    move |source| KernelError::Bpf {
        call,
        name: NAME.to_owned(),
        source,
    }
}
