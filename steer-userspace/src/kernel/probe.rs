//! What this kernel can do, found out by trying.

use std::{
    collections::BTreeMap,
    io,
    os::fd::AsFd as _,
    path::Path,
    time::{Duration, Instant},
};

use aya::{
    Btf, EbpfLoader,
    programs::{Program, ProgramError, loaded_programs},
};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::{
    Features, KernelError, MAPS, PROGRAMS, cgroup,
    load::load_program,
    object::{FIXED_SIZE, OBJECT, PORT_PROGRAMS, UPLINK_PROGRAMS},
    sys,
};

/// Whether a BPF file system is mounted there.
pub fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// A program, as the kernel took it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// Its name.
    pub name: &'static str,
    /// Instructions that the verifier followed, on every way through the program (Linux 5.16).
    pub verified: Option<u32>,
    /// How long the kernel took to load it.
    pub took: Duration,
}

/// Loads every program, with maps of the smallest size, and lets them go again.
pub fn load() -> Result<Vec<Loaded>, KernelError> {
    let features = Features::probe()?;
    let btf = Btf::from_sys_fs().map_err(|_| KernelError::NoBtf)?;
    let fields = features.netns_fields.unwrap_or_default();
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&btf))
        .override_global("NETNS_FIELDS", &fields, true)
        .override_global("V6_ONLY_BIT", &features.v6_only_bit, true);
    for name in MAPS.iter().filter(|name| !FIXED_SIZE.contains(name)) {
        loader.map_max_entries(name, 128);
    }
    let mut object = loader.load(OBJECT).map_err(|source| KernelError::Load {
        source: Box::new(source),
    })?;
    let at_interfaces = [PORT_PROGRAMS, UPLINK_PROGRAMS].into_iter().flatten();
    PROGRAMS
        .into_iter()
        .chain(at_interfaces.map(|(name, _)| name))
        .map(|name| {
            let program = object
                .program_mut(name)
                .ok_or(KernelError::Missing { name })?;
            one(name, program).map_err(KernelError::program(name))
        })
        .collect()
}

fn one(name: &'static str, program: &mut Program) -> Result<Loaded, ProgramError> {
    let started = Instant::now();
    load_program(program)?;
    let took = started.elapsed();
    Ok(Loaded {
        name,
        verified: program.info()?.verified_instruction_count(),
        took,
    })
}

/// Programs on the hooks of a cgroup, inherited ones among them, that are not steer's: name ->
/// hooks.
pub fn others(target: &Path) -> Result<BTreeMap<String, Vec<&'static str>>, KernelError> {
    let file = cgroup::open(target)?;
    let mut hooks: BTreeMap<u32, Vec<&'static str>> = BTreeMap::new();
    for (kind, hook) in sys::CGROUP_HOOKS {
        let ids = sys::attached_programs(file.as_fd(), kind).map_err(|source| {
            let denied = source.kind() == io::ErrorKind::PermissionDenied;
            if denied {
                return KernelError::NotPermitted {
                    action: "listing programs",
                };
            }
            KernelError::Bpf {
                call: "PROG_QUERY",
                name: hook.to_owned(),
                source,
            }
        })?;
        for id in ids {
            hooks.entry(id).or_default().push(hook);
        }
    }
    let mut others: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for program in loaded_programs().filter_map(Result::ok) {
        let Some(hooks) = hooks.get(&program.id()) else {
            continue;
        };
        let name = program.name_as_str().unwrap_or("?");
        if !PROGRAMS.iter().any(|own| is_named(name, own)) {
            others.entry(name.to_owned()).or_default().extend(hooks);
        }
    }
    Ok(others)
}

/// The kernel keeps 15 bytes of a name.
fn is_named(kept: &str, whole: &str) -> bool {
    kept == whole || (kept.len() == 15 && whole.starts_with(kept))
}
