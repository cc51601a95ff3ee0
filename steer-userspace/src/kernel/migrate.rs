//! What a version with another layout left in its maps is taken over: traffic goes on where it was.
//!
//! Rows are copied as they are, so a version is readable if whatever grew since grew at its end,
//! and zero there means what it meant before.

use std::{io, path::Path};

use super::{
    KernelError, Pins,
    object::MAPS,
    sys::rows::{Rows, Shape},
};

/// The layouts whose rows this one can take over, the latest first.
const READABLE: [u32; 2] = [6, 5];

/// Maps that are not taken over: what is on its way in a ring, what hangs on sockets, and what
/// programs need for a moment.
const LEFT: [&str; 8] = [
    "EVENTS",
    "CONNECTIONS",
    "TAP",
    "ORIGIN",
    "OPENED",
    "TCP_OPENED",
    "SCRATCH",
    "EVENT_BUDGET",
];

/// The maps whose rows only the deciding programs write. Until the others are detached, those are
/// the other version's.
const DECIDED: [&str; 2] = ["TCP_ORIGIN", "UDP_REPLY"];

/// The maps in which programs note what they see. As long as both versions' are attached, both note it;
/// what only the old ones saw, because they came first, the new ones must be told.
const NOTED: [&str; 5] = [
    "FLOWS",
    "EGRESS_LEARNED",
    "NAMES_SEEN",
    "DNS_QUERIES",
    "EDGE_FLOWS",
];

/// The latest readable version that is pinned.
pub(super) fn readable(pins: &Pins) -> Option<Pins> {
    let all = READABLE.into_iter().map(|version| pins.of_version(version));
    all.into_iter().find(Pins::exist)
}

/// Copies every row of `old` into the maps of `pins`, which are new.
pub(super) fn take_over(old: &Pins, pins: &Pins) -> Result<(), KernelError> {
    for name in MAPS.into_iter().filter(|name| !LEFT.contains(name)) {
        let from = old.map(name);
        // One that came with this layout.
        if from.exists() {
            copy(name, &from, &pins.map(name), Rows::set)?;
        }
    }
    Ok(())
}

/// Adds what the programs of `old` have noted since: to be done just before programs that judge packets
/// are attached beside them, and after.
pub(super) fn follow(old: &Pins, pins: &Pins) -> Result<(), KernelError> {
    let both = NOTED.into_iter().map(|name| (name, old.map(name)));
    for (name, from) in both.filter(|(_, from)| from.exists()) {
        copy(name, &from, &pins.map(name), Rows::add)?;
    }
    Ok(())
}

/// Copies what the programs of `old` have written since: to be done just before they are detached.
pub(super) fn catch_up(old: &Pins, pins: &Pins) -> Result<(), KernelError> {
    for name in DECIDED {
        copy(name, &old.map(name), &pins.map(name), Rows::set)?;
    }
    follow(old, pins)?;
    tickets(old, pins)
}

/// The tickets of routes that are the same on both sides.
fn tickets(old: &Pins, pins: &Pins) -> Result<(), KernelError> {
    let open = |pins: &Pins, name| Rows::open(&pins.map(name)).map_err(failed("OBJ_GET", name));
    let (old_routes, routes) = (open(old, "ROUTES")?, open(pins, "ROUTES")?);
    let (old_tickets, tickets) = (open(old, "TICKETS")?, open(pins, "TICKETS")?);
    let read = |rows: &Rows, key: &[u8]| rows.get(key).map_err(failed("lookup", "TICKETS"));
    for row in 0..routes.shape().rows.min(old_routes.shape().rows) {
        let key = row.to_ne_bytes();
        let route = read(&routes, &key)?;
        if route.as_deref().is_none_or(is_empty) || read(&old_routes, &key)? != route {
            continue;
        }
        if let Some(next) = read(&old_tickets, &key)? {
            let set = tickets.set(&key, &next, &old_tickets.shape());
            set.map_err(failed("update", "TICKETS"))?;
        }
    }
    Ok(())
}

/// Puts a row into a map, whose values had this shape.
type Put = fn(&Rows, &[u8], &[u8], &Shape) -> io::Result<()>;

fn copy(name: &'static str, from: &Path, to: &Path, put: Put) -> Result<(), KernelError> {
    let open = |path| Rows::open(path).map_err(failed("OBJ_GET", name));
    let (from, to) = (open(from)?, open(to)?);
    let (old, new) = (from.shape(), to.shape());
    if !takes(&old, &new) {
        return Err(KernelError::ShapeDiffers {
            map: name,
            found: format!("{} rows of {} bytes", old.rows, old.value),
            wanted: format!("{} rows of {} bytes (--max-services)", new.rows, new.value),
        });
    }
    let mut key = from.next(None).map_err(failed("next key", name))?;
    while let Some(at) = key {
        let row = from.get(&at).map_err(failed("lookup", name))?;
        // A row that was never written is the same in a map that is new.
        if let Some(row) = row.filter(|row| !(old.is_array() && is_empty(row))) {
            put(&to, &at, &row, &old).map_err(failed("update", name))?;
        }
        key = from.next(Some(&at)).map_err(failed("next key", name))?;
    }
    Ok(())
}

/// Whether a map takes the rows of another.
fn takes(old: &Shape, new: &Shape) -> bool {
    let room = new.rows >= old.rows && (!new.is_array() || new.rows == old.rows);
    old.kind == new.kind && old.key == new.key && old.value <= new.value && room
}

fn is_empty(row: &[u8]) -> bool {
    row.iter().all(|&byte| byte == 0)
}

fn failed(call: &'static str, name: &'static str) -> impl FnOnce(io::Error) -> KernelError {
    move |source| KernelError::Bpf {
        call,
        name: name.to_owned(),
        source,
    }
}
