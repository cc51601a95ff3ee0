//! The tap: which routes have it, and what it hands over.

use std::collections::BTreeSet;

use aya::maps::{Map, MapData, RingBuf};
use steer_common::{
    limits::TAPPED_MAX,
    service::SplitId,
    tap::{TapHead, Tapped},
};

use super::{Kernel, KernelError, Pins, counted, maps, object::TAP_PROGRAM};

/// TAP. One reader at a time: what one has read is gone.
pub struct Tap(RingBuf<MapData>);

impl Tap {
    /// Opens it. What an earlier agent has not read is not read any more: it is too late to copy it.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let name = "TAP";
        let map = Map::RingBuf(maps::data(&pins.map(name), name)?);
        let mut tap = RingBuf::try_from(map)
            .map(Self)
            .map_err(KernelError::map(name))?;
        while tap.read(|_, _| ()).is_some() {}
        Ok(tap)
    }

    /// Hands over the next piece, if there is one.
    pub fn read<T>(&mut self, take: impl FnOnce(TapHead, &[u8]) -> T) -> Option<T> {
        loop {
            let record = self.0.next()?;
            // What is of another form was written by programs of another version.
            if let Some((head, bytes)) = TapHead::read(&record) {
                return Some(take(head, bytes));
            }
        }
    }
}

impl Kernel {
    /// Hands over what clients send on these routes, and on no others, from now on. Says how many routes
    /// too many there are.
    pub fn tap(&mut self, splits: &BTreeSet<SplitId>) -> Result<usize, KernelError> {
        let name = "TAPPED";
        let failed = KernelError::map(name);
        let mut tapped = maps::hash::<u32, Tapped>(self.pins(), name, Map::HashMap)?;
        let known: Result<BTreeSet<SplitId>, _> = tapped.keys().collect();
        let known = known.map_err(&failed)?;
        let most = TAPPED_MAX as usize;
        let wanted: BTreeSet<SplitId> = splits.iter().copied().take(most).collect();
        for split in known.difference(&wanted) {
            tapped.remove(split).map_err(&failed)?;
        }
        for &split in wanted.difference(&known) {
            let row = Tapped { split, pad: 0 };
            tapped.insert(split, row, 0).map_err(&failed)?;
        }
        self.look_at_what_is_sent()?;
        Ok(splits.len().saturating_sub(most))
    }

    /// Attaches the program while there is something to copy or to count, and no longer.
    pub(super) fn look_at_what_is_sent(&mut self) -> Result<(), KernelError> {
        let needed = is_open(self.pins())?;
        self.put_in_force(TAP_PROGRAM, needed)
    }
}

/// Whether the requests of any route are copied or counted.
pub(super) fn is_open(pins: &Pins) -> Result<bool, KernelError> {
    let tapped = maps::hash::<u32, Tapped>(pins, "TAPPED", Map::HashMap)?;
    Ok(tapped.keys().next().is_some() || counted::any(pins)?)
}
