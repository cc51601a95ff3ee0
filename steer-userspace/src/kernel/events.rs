//! EVENTS, read as it fills.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, RingBuf};
use steer_common::egress::Event;

use super::{KernelError, Pins, maps::data};

/// The ring of events. One reader at a time: what one has read is gone.
pub struct Events(RingBuf<MapData>);

impl Events {
    /// Opens it.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let name = "EVENTS";
        let map = Map::RingBuf(data(&pins.map(name), name)?);
        RingBuf::try_from(map)
            .map(Self)
            .map_err(KernelError::map(name))
    }

    /// The next event, if there is one. The descriptor is readable when there is.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let record = self.0.next()?;
            // What has another size was written by programs of another version.
            if let Some(event) = Event::from_bytes(&record) {
                return Some(event);
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
