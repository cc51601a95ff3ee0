//! How large the maps are, and which programs are in force where.

use std::{collections::BTreeMap, fs, os::fd::AsFd as _, path::Path};

use aya::maps::{Array, HashMap, Map, MapData};
use steer_common::{
    flow::{Affinity, AffinityKey, Origin, TcpOrigin},
    service::SplitId,
};

use super::{
    EgressMaps, KernelError, MAPS, Maps, PROGRAMS, Pins, cgroup, maps,
    object::{OBSERVING_PROGRAM, PACKET_PROGRAMS, TAP_PROGRAM},
    sys, tap,
};
use crate::plan::Capacity;

impl Maps {
    /// The capacity that the maps were made for.
    pub fn capacity(&self) -> Capacity {
        Capacity::of_rows(self.routes.len())
    }
}

/// How many clients AFFINITY remembers.
pub fn remembered(pins: &Pins) -> Result<usize, KernelError> {
    // An entry that goes while it is looked at is no longer remembered.
    Ok(affinity(pins)?.keys().filter_map(Result::ok).count())
}

/// How many open TCP sockets have a row for what they dialled.
pub fn open_sockets(pins: &Pins) -> Result<usize, KernelError> {
    let origins: Array<MapData, TcpOrigin> = maps::array(pins, "TCP_ORIGIN")?;
    let taken = |row: &TcpOrigin| row.socket != 0;
    Ok(origins.iter().filter_map(Result::ok).filter(taken).count())
}

/// How open TCP sockets were steered, by their cookies; but for those whose row another one took.
pub fn origins(pins: &Pins) -> Result<BTreeMap<u64, Origin>, KernelError> {
    let rows: Array<MapData, TcpOrigin> = maps::array(pins, "TCP_ORIGIN")?;
    let taken = |row: &TcpOrigin| row.socket != 0 && row.origin.service != 0;
    let all = rows.iter().filter_map(Result::ok).filter(taken);
    Ok(all.map(|row| (row.socket, row.origin)).collect())
}

/// What AFFINITY remembers of one client, by split.
pub fn memories(pins: &Pins, client: u64) -> Result<BTreeMap<SplitId, Affinity>, KernelError> {
    let of_client = |(key, memory): (AffinityKey, Affinity)| {
        (key.client == client).then_some((key.split, memory))
    };
    let found = affinity(pins)?;
    Ok(found
        .iter()
        .filter_map(|entry| of_client(entry.ok()?))
        .collect())
}

fn affinity(pins: &Pins) -> Result<HashMap<MapData, AffinityKey, Affinity>, KernelError> {
    maps::hash(pins, "AFFINITY", Map::LruHashMap)
}

/// A program's link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// The program.
    pub name: &'static str,
    /// Its number, if its link is there.
    pub program: Option<u32>,
    /// Whether the link leads to the cgroup.
    pub effective: bool,
}

/// Which programs are attached to a cgroup by pinned links. Those that see packets are left out
/// while no policy judges and they are not attached.
pub fn attached(pins: &Pins, target: &Path) -> Result<Vec<Attached>, KernelError> {
    let wanted = fs::File::open(target)
        .and_then(|file| cgroup::id(&file))
        .map_err(KernelError::io("looking at", target))?;
    let look = |name: &'static str| {
        let info = sys::open_pin(&pins.link(name)).and_then(|link| sys::link_info(link.as_fd()));
        match info {
            Ok(info) => Attached {
                name,
                program: Some(info.program_id),
                effective: info.cgroup_id == wanted,
            },
            Err(_) => Attached {
                name,
                program: None,
                effective: false,
            },
        }
    };
    let judges = EgressMaps::open(pins)?.meta()?.egress != 0;
    let copies = tap::is_open(pins)?;
    let needed = |name: &str| match name {
        TAP_PROGRAM => copies,
        OBSERVING_PROGRAM => false,
        _ => judges || !PACKET_PROGRAMS.contains(&name),
    };
    let rests = |found: &Attached| found.program.is_none() && !needed(found.name);
    let all = PROGRAMS.into_iter().map(look);
    Ok(all.filter(|found| !rests(found)).collect())
}

/// The programs of steer's that do not run for the sockets of a cgroup, though their links are there.
pub fn idle_at(pins: &Pins, target: &Path) -> Result<Vec<&'static str>, KernelError> {
    let target = fs::File::open(target).map_err(KernelError::io("looking at", target))?;
    let runs = |name: &str| -> std::io::Result<bool> {
        let info = sys::link_info(sys::open_pin(&pins.link(name))?.as_fd())?;
        let all = sys::attached_programs(target.as_fd(), info.attach_type)?;
        Ok(all.contains(&info.program_id))
    };
    let pinned = PROGRAMS.into_iter().filter(|name| pins.link(name).exists());
    let mut idle = Vec::new();
    for name in pinned {
        let failed = |source| KernelError::Bpf {
            call: "PROG_QUERY",
            name: name.to_owned(),
            source,
        };
        if !runs(name).map_err(failed)? {
            idle.push(name);
        }
    }
    Ok(idle)
}

/// The maps that are not pinned.
pub fn unpinned(pins: &Pins) -> Vec<&'static str> {
    MAPS.into_iter()
        .filter(|name| !pins.map(name).exists())
        .collect()
}
