//! Loads the programs, with maps of the wanted size or those of an earlier agent, and puts them
//! in force.

use std::{fs, path::PathBuf};

use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{MapError, MapInfo},
    programs::{Program, ProgramError},
};

use super::{
    Features, KernelError, Maps, Pins, Ports, Removed, attach, cgroup, migrate,
    object::{MAPS, OBJECT, OBSERVING_PROGRAM, PACKET_PROGRAMS, PROGRAMS, may_rest},
};
use crate::plan::{Capacity, EgressRows};
use steer_common::index::buckets;

/// Where and how large.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    /// Where maps and links are pinned.
    pub pins: Pins,
    /// The cgroup whose sockets are steered.
    pub cgroup: PathBuf,
    /// The sizes of the maps.
    pub capacity: Capacity,
}

/// The kernel's side of a running agent.
pub struct Kernel {
    maps: Maps,
    ports: Ports,
    adopted: bool,
    features: Features,
    target: fs::File,
    pins: Pins,
    /// Whether the program that sees connections is in force.
    pub(super) observes: bool,
    /// What a version with another layout has in force beside this one.
    old: Option<Pins>,
}

impl Kernel {
    /// Loads, pins and attaches. What an earlier agent left stays in force until it is replaced.
    pub fn start(settings: &KernelSettings) -> Result<Self, KernelError> {
        let target = cgroup::open(&settings.cgroup)?;
        let features = Features::probe()?;
        let btf = Btf::from_sys_fs().map_err(|_| KernelError::NoBtf)?;
        let mut adopted = settings.pins.exist() && is_whole(&settings.pins)?;
        if adopted {
            check_shapes(settings)?;
        } else {
            // What an agent left that died before it had filled them.
            settings.pins.remove_own()?;
        }
        settings.pins.create()?;
        let old = migrate::readable(&settings.pins);
        let loaded = Self::fill(settings, &features, &btf, old.as_ref().filter(|_| !adopted));
        if loaded.is_err() && !adopted {
            settings.pins.remove_own()?;
        }
        let mut loaded = loaded?;
        adopted |= old.is_some();
        let rests = |name| may_rest(name) && !settings.pins.link(name).exists();
        for name in PROGRAMS.into_iter().filter(|&name| !rests(name)) {
            let program = program(&mut loaded, name)?;
            attach::attach(name, program, &target, &settings.pins)?;
        }
        let maps = Maps::open(&settings.pins)?;
        let ports = Ports::new(loaded, &settings.pins, features.tcx)?;
        Ok(Self {
            maps,
            ports,
            adopted,
            features,
            target,
            observes: settings.pins.link(OBSERVING_PROGRAM).exists(),
            pins: settings.pins.clone(),
            old,
        })
    }

    /// Loads the programs; maps that are new take over what `old` holds, or begin empty.
    fn fill(
        settings: &KernelSettings,
        features: &Features,
        btf: &Btf,
        old: Option<&Pins>,
    ) -> Result<Ebpf, KernelError> {
        let mut loaded = load(settings, features, btf)?;
        programs(&mut loaded)?;
        if let Some(old) = old {
            migrate::take_over(old, &settings.pins)?;
        }
        // Last: by this the maps are known to be whole.
        Maps::open(&settings.pins)?.egress.start_meta()?;
        Ok(loaded)
    }

    /// Removes what other versions have in force, once ours is: attach before detach.
    pub fn remove_others(&mut self) -> Result<Removed, KernelError> {
        if let Some(old) = self.old.take() {
            migrate::catch_up(&old, &self.pins)?;
        }
        self.pins.remove_others()
    }

    /// Takes over what programs of another version have noted so far: before ours judge packets beside them.
    pub fn follow_other(&self) -> Result<(), KernelError> {
        match &self.old {
            Some(old) => migrate::follow(old, &self.pins),
            None => Ok(()),
        }
    }

    /// What this kernel has.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The maps.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The maps, to write to.
    pub fn maps_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// Puts the programs that see packets in force, or takes them away. Before any policy judges,
    /// and after the last one did.
    pub fn judge_packets(&mut self, judge: bool) -> Result<(), KernelError> {
        if judge {
            self.follow_other()?;
        }
        let mut programs = PACKET_PROGRAMS.into_iter();
        programs.try_for_each(|name| self.put_in_force(name, judge))
    }

    /// Puts a program in force that may rest, or takes it away.
    pub(super) fn put_in_force(&mut self, name: &'static str, on: bool) -> Result<(), KernelError> {
        let path = self.pins.link(name);
        match (on, path.exists()) {
            (true, false) => {
                let program = program(self.ports.loaded_mut(), name)?;
                attach::attach(name, program, &self.target, &self.pins)
            }
            (false, true) => fs::remove_file(&path).map_err(KernelError::io("removing", &path)),
            (true, true) | (false, false) => Ok(()),
        }
    }

    /// Puts rows of the egress guard in force without a plan: for tests and benches.
    pub fn put_egress(&mut self, rows: &EgressRows) -> Result<(), KernelError> {
        if rows.settings.on {
            self.judge_packets(true)?;
        }
        self.maps.egress.put(rows)?;
        self.judge_packets(rows.settings.on)
    }

    /// The cgroup whose sockets are steered.
    pub(super) fn target(&self) -> &fs::File {
        &self.target
    }

    /// Where everything is pinned.
    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// A program of the object, and where it is attached and pinned.
    pub(super) fn program_and_place(
        &mut self,
        name: &'static str,
    ) -> Result<(&mut Program, &fs::File, Pins), KernelError> {
        let pins = self.pins.clone();
        let program = program(self.ports.loaded_mut(), name)?;
        Ok((program, &self.target, pins))
    }

    /// The veths of pods.
    pub fn ports_mut(&mut self) -> &mut Ports {
        &mut self.ports
    }

    /// Whether some namespace is observed.
    pub fn observes(&self) -> bool {
        self.observes
    }

    /// Whether the maps are those of an earlier agent.
    pub fn adopted(&self) -> bool {
        self.adopted
    }
}

/// The rows of each map that the settings decide; 0 leaves what the object says.
fn rows(name: &str, capacity: &Capacity) -> u32 {
    match name {
        "SERVICES" => buckets(capacity.keys),
        "ROUTES" | "TICKETS" => capacity.rows,
        "ENDPOINTS" | "MEMBERS" => capacity.endpoints,
        "COUNTERS" => capacity.counters,
        "SOURCES" => capacity.sources,
        _ => 0,
    }
}

fn load(settings: &KernelSettings, features: &Features, btf: &Btf) -> Result<Ebpf, KernelError> {
    let mut loader = EbpfLoader::new();
    let mask = buckets(settings.capacity.keys) - 1;
    loader
        .btf(Some(btf))
        .override_global("BUCKET_MASK", &mask, true);
    let fields = features.netns_fields.unwrap_or_default();
    loader
        .override_global("NETNS_FIELDS", &fields, true)
        .override_global("V6_ONLY_BIT", &features.v6_only_bit, true);
    for name in MAPS {
        loader.map_pin_path(name, settings.pins.map(name));
        let rows = rows(name, &settings.capacity);
        if rows > 0 {
            loader.map_max_entries(name, rows);
        }
    }
    loader.load(OBJECT).map_err(|source| match source {
        EbpfError::MapError(MapError::CreateError { io_error, .. })
            if io_error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            KernelError::NotPermitted {
                action: "creating maps",
            }
        }
        source => KernelError::Load {
            source: Box::new(source),
        },
    })
}

/// Loads all programs before any map is taken from the object.
fn programs(loaded: &mut Ebpf) -> Result<(), KernelError> {
    for name in PROGRAMS {
        load_program(program(loaded, name)?).map_err(KernelError::program(name))?;
    }
    Ok(())
}

/// Whether the maps were filled to the end: that is noted last.
fn is_whole(pins: &Pins) -> Result<bool, KernelError> {
    Ok(Maps::open(pins)?.egress.meta()?.abi == steer_common::ABI_VERSION)
}

pub(super) fn load_program(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn program<'a>(loaded: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, KernelError> {
    loaded
        .program_mut(name)
        .ok_or(KernelError::Missing { name })
}

/// aya re-uses a pinned map unchecked: another value size would surface as a verifier error,
/// another capacity as E2BIG at an insert.
fn check_shapes(settings: &KernelSettings) -> Result<(), KernelError> {
    for name in MAPS {
        let path = settings.pins.map(name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path).map_err(KernelError::map(name))?;
        let wanted = rows(name, &settings.capacity);
        if wanted > 0 && info.max_entries() != wanted {
            let found = format!("{} rows", info.max_entries());
            return Err(KernelError::ShapeDiffers {
                map: name,
                found,
                wanted: format!("{wanted} rows (--max-services)"),
            });
        }
    }
    Ok(())
}
