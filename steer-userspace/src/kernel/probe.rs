//! What this kernel can do, found out by trying.

use std::{collections::BTreeSet, io, os::fd::AsFd as _, path::Path};

use aya::{
    Btf, EbpfLoader,
    programs::{CgroupSockAddr, loaded_programs},
};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::{KernelError, MAPS, PROGRAMS, cgroup, object::OBJECT, sys};

/// Whether a BPF file system is mounted there.
pub fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Loads every program, with maps of the smallest size, and lets them go again.
pub fn load() -> Result<usize, KernelError> {
    let btf = Btf::from_sys_fs().map_err(|_| KernelError::NoBtf)?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&btf));
    for name in MAPS.iter().filter(|name| **name != "ORIGIN") {
        loader.map_max_entries(name, 128);
    }
    let mut loaded = loader.load(OBJECT).map_err(|source| KernelError::Load {
        source: Box::new(source),
    })?;
    for name in PROGRAMS {
        let program = loaded
            .program_mut(name)
            .ok_or(KernelError::Missing { name })?;
        let program: &mut CgroupSockAddr =
            program.try_into().map_err(KernelError::program(name))?;
        program.load().map_err(KernelError::program(name))?;
    }
    Ok(PROGRAMS.len())
}

/// Names of programs on the hooks of a cgroup that are not steer's.
pub fn others(target: &Path) -> io::Result<Vec<String>> {
    let file = cgroup::open(target).map_err(io::Error::other)?;
    let mut ids = BTreeSet::new();
    for kind in sys::SOCK_ADDR_HOOKS {
        ids.extend(sys::attached_programs(file.as_fd(), kind)?);
    }
    let names = loaded_programs()
        .filter_map(Result::ok)
        .filter(|program| ids.contains(&program.id()));
    let names = names.map(|program| program.name_as_str().unwrap_or("?").to_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with("steer_")).collect();
    names.sort();
    names.dedup();
    Ok(names)
}
