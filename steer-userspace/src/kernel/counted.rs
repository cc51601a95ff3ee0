//! COUNTED: of which routes requests are counted on their way, and how many there were.

use std::collections::BTreeMap;

use aya::maps::{HashMap, Map, MapData};
use steer_common::{counted::Counted, limits::COUNTED_MAX, service::SplitId};

use super::{Kernel, KernelError, Pins, maps};

const NAME: &str = "COUNTED";

/// The rows, by split.
pub type Requests = BTreeMap<SplitId, Counted>;

impl Kernel {
    /// Counts requests of these routes, and of no others, from now on; for each route, those of
    /// connections of this generation or a later one. `known` is what is there. Says how many routes too
    /// many there are.
    pub fn count_requests(
        &mut self,
        wanted: &BTreeMap<SplitId, u32>,
        known: &Requests,
    ) -> Result<usize, KernelError> {
        let failed = KernelError::map(NAME);
        let mut map = open(self.pins())?;
        let most = COUNTED_MAX as usize;
        let fitting: BTreeMap<SplitId, u32> =
            wanted.iter().take(most).map(|(&k, &v)| (k, v)).collect();
        for (split, _) in known
            .iter()
            .filter(|(split, _)| !fitting.contains_key(split))
        {
            map.remove(split).map_err(&failed)?;
        }
        for (&split, &since) in &fitting {
            if known.get(&split).is_none_or(|row| row.since != since) {
                map.insert(split, Counted::new(split, since), 0)
                    .map_err(&failed)?;
            }
        }
        self.look_at_what_is_sent()?;
        Ok(wanted.len().saturating_sub(most))
    }

    /// What was counted.
    pub fn requests(&self) -> Result<Requests, KernelError> {
        rows(&open(self.pins())?)
    }
}

/// Whether requests of any route are counted.
pub(super) fn any(pins: &Pins) -> Result<bool, KernelError> {
    Ok(open(pins)?.keys().next().is_some())
}

fn open(pins: &Pins) -> Result<HashMap<MapData, u32, Counted>, KernelError> {
    maps::hash::<u32, Counted>(pins, NAME, Map::HashMap)
}

fn rows(map: &HashMap<MapData, u32, Counted>) -> Result<Requests, KernelError> {
    let rows: Result<Requests, _> = map.iter().collect();
    rows.map_err(KernelError::map(NAME))
}
