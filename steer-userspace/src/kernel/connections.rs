//! Which namespaces are observed, CONNECTIONS, read as it fills, and those that are open.

use std::collections::BTreeMap;

use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use steer_common::connection::{Connection, TcpOpened};

use super::{
    Kernel, KernelError, Pins,
    maps::{array, data, hash},
    object::OBSERVING_PROGRAM,
};

impl Kernel {
    /// Observes these namespaces (`OBSERVE_*` by cookie) and no others. Without any, the program is in
    /// force nowhere. Connections that are open already are not reported.
    pub fn observe(&mut self, wanted: &BTreeMap<u64, u32>) -> Result<(), KernelError> {
        let name = "OBSERVED";
        let mut rows = hash::<u64, u32>(self.pins(), name, Map::HashMap)?;
        put(&mut rows, wanted).map_err(KernelError::map(name))?;
        let observes = !wanted.is_empty();
        if observes && !self.observes {
            OpenConnections::open(self.pins())?.forget()?;
        }
        self.observes = observes;
        self.put_in_force(OBSERVING_PROGRAM, self.observes)
    }
}

fn put(
    rows: &mut HashMap<MapData, u64, u32>,
    wanted: &BTreeMap<u64, u32>,
) -> Result<(), aya::maps::MapError> {
    let there: Vec<u64> = rows.keys().collect::<Result<_, _>>()?;
    for cookie in there.iter().filter(|cookie| !wanted.contains_key(cookie)) {
        rows.remove(cookie)?;
    }
    for (cookie, sides) in wanted {
        rows.insert(cookie, sides, 0)?;
    }
    Ok(())
}

/// The ring of connections. One reader at a time: what one has read is gone.
pub struct Connections(RingBuf<MapData>);

impl Connections {
    /// Opens it.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let name = "CONNECTIONS";
        let map = Map::RingBuf(data(&pins.map(name), name)?);
        RingBuf::try_from(map)
            .map(Self)
            .map_err(KernelError::map(name))
    }

    /// The next record, if there is one.
    pub fn next_record(&mut self) -> Option<Connection> {
        loop {
            let record = self.0.next()?;
            // What has another size was written by programs of another version.
            if let Some(found) = Connection::from_bytes(&record) {
                return Some(found);
            }
        }
    }
}

/// The connections that are open, but for those whose row another one has.
pub struct OpenConnections(Array<MapData, TcpOpened>);

const OPEN: &str = "TCP_OPENED";

impl OpenConnections {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        array(pins, OPEN).map(Self)
    }

    /// Each of them, with the cookie of its socket. Rows are written meanwhile: only that socket makes
    /// sense of one.
    pub fn all(&self) -> impl Iterator<Item = (u64, Connection)> {
        let rows = self.0.iter().filter_map(Result::ok);
        let taken = rows.filter(|row| row.socket != 0);
        taken.map(|row| (row.socket, Connection::open(&row)))
    }

    /// Empties all rows: what closed while nobody observed left its own.
    fn forget(&mut self) -> Result<(), KernelError> {
        for number in 0..self.0.len() {
            let row = self.0.get(&number, 0).map_err(KernelError::map(OPEN))?;
            if row.socket != 0 {
                let free = TcpOpened { socket: 0, ..row };
                self.0
                    .set(number, free, 0)
                    .map_err(KernelError::map(OPEN))?;
            }
        }
        Ok(())
    }
}
