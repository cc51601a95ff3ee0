//! The pinned maps, typed. The agent and the listings open them the same way.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::atomic::AtomicU32,
};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, MapInfo, PerCpuArray},
};
use steer_common::{
    endpoint::Endpoint,
    flow::{Member, MemberKey},
    index::SLOTS,
    service::{Route, Source},
};

use super::{
    EgressMaps, KernelError, Pins,
    index::Table,
    sys::{self, Shared},
};

/// The maps that user space reads or writes.
pub struct Maps {
    pub(super) services: Shared<[AtomicU32; SLOTS + 1]>,
    pub(super) routes: Array<MapData, Route>,
    pub(super) endpoints: Array<MapData, Endpoint>,
    /// ENDPOINTS again, for batches.
    pub(super) endpoints_fd: OwnedFd,
    pub(super) tickets: Array<MapData, u64>,
    pub(super) sources: HashMap<MapData, u64, Source>,
    pub(super) members: HashMap<MapData, MemberKey, Member>,
    pub(super) counters: PerCpuArray<MapData, u64>,
    pub(super) cpus: usize,
    /// Those of the egress guard.
    pub egress: EgressMaps,
}

impl Maps {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        pins.require()?;
        let cpus = aya::util::nr_cpus().map_err(|(path, source)| KernelError::Io {
            action: "reading",
            path: path.into(),
            source,
        })?;
        Ok(Self {
            services: services(pins)?,
            routes: array(pins, "ROUTES")?,
            endpoints: array(pins, "ENDPOINTS")?,
            endpoints_fd: sys::open_pin(&pins.map("ENDPOINTS")).map_err(|source| {
                KernelError::Bpf {
                    call: "OBJ_GET",
                    name: "ENDPOINTS".to_owned(),
                    source,
                }
            })?,
            tickets: array(pins, "TICKETS")?,
            sources: hash(pins, "SOURCES", Map::HashMap)?,
            members: hash(pins, "MEMBERS", Map::HashMap)?,
            counters: PerCpuArray::try_from(Map::PerCpuArray(data(
                &pins.map("COUNTERS"),
                "COUNTERS",
            )?))
            .map_err(KernelError::map("COUNTERS"))?,
            cpus,
            egress: EgressMaps::open(pins)?,
        })
    }
}

impl Maps {
    /// SERVICES.
    pub(super) fn index(&self) -> Table<'_> {
        Table::new(self.services.values())
    }
}

fn services(pins: &Pins) -> Result<Shared<[AtomicU32; SLOTS + 1]>, KernelError> {
    let name = "SERVICES";
    let path = pins.map(name);
    let info = MapInfo::from_pin(&path).map_err(|source| denied_or(name, source))?;
    let failed = |call| {
        move |source| KernelError::Bpf {
            call,
            name: name.to_owned(),
            source,
        }
    };
    let map = sys::open_pin(&path).map_err(failed("OBJ_GET"))?;
    Shared::map(map.as_fd(), info.max_entries() as usize).map_err(failed("mmap"))
}

fn denied_or(name: &'static str, source: MapError) -> KernelError {
    match source {
        MapError::SyscallError(error)
            if error.io_error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            KernelError::NotPermitted {
                action: "reading the maps",
            }
        }
        source => KernelError::Map {
            name,
            source: Box::new(source),
        },
    }
}

pub(super) fn data(path: &Path, name: &'static str) -> Result<MapData, KernelError> {
    MapData::from_pin(path).map_err(|source| denied_or(name, source))
}

pub(super) fn array<V: Pod>(
    pins: &Pins,
    name: &'static str,
) -> Result<Array<MapData, V>, KernelError> {
    Array::try_from(Map::Array(data(&pins.map(name), name)?)).map_err(KernelError::map(name))
}

pub(super) fn hash<K: Pod, V: Pod>(
    pins: &Pins,
    name: &'static str,
    kind: fn(MapData) -> Map,
) -> Result<HashMap<MapData, K, V>, KernelError> {
    HashMap::try_from(kind(data(&pins.map(name), name)?)).map_err(KernelError::map(name))
}
