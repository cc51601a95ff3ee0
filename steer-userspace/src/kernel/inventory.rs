//! What an agent has in the kernel, by number: so that it can be seen whether any of it is left.

use std::{collections::BTreeSet, fs, os::fd::AsFd as _, path::Path};

use aya::{
    maps::{MapInfo, loaded_maps},
    programs::{loaded_links, loaded_programs},
};

use super::{KernelError, Pins, sys};

/// Numbers of programs, links and maps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
}

impl Inventory {
    /// What is pinned.
    pub fn pinned(pins: &Pins) -> Result<Self, KernelError> {
        let mut found = Self::default();
        for path in files(&pins.link_folder())?
            .into_iter()
            .chain(files(&pins.ports())?)
            .chain(files(&pins.uplinks())?)
        {
            let failed = |source| KernelError::Bpf {
                call: "OBJ_GET",
                name: path.display().to_string(),
                source,
            };
            let link = match sys::open_pin(&path) {
                Ok(link) => link,
                // It went while it was listed, with its pod.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let info = sys::link_info(link.as_fd()).map_err(failed)?;
            found.links.insert(info.id);
            found.programs.insert(info.program_id);
        }
        for path in files(&pins.map_folder())? {
            let info = MapInfo::from_pin(&path).map_err(KernelError::map("a pinned map"))?;
            found.maps.insert(info.id());
        }
        Ok(found)
    }

    /// Adds what `other` has.
    pub fn add(&mut self, other: &Self) {
        self.programs.extend(&other.programs);
        self.links.extend(&other.links);
        self.maps.extend(&other.maps);
    }

    /// Those that the kernel still has.
    #[must_use]
    pub fn left(&self) -> Self {
        // What goes while it is listed is gone.
        let programs = loaded_programs().filter_map(|found| Some(found.ok()?.id()));
        let links = loaded_links().filter_map(|found| Some(found.ok()?.id()));
        let maps = loaded_maps().filter_map(|found| Some(found.ok()?.id()));
        Self {
            programs: programs.filter(|id| self.programs.contains(id)).collect(),
            links: links.filter(|id| self.links.contains(id)).collect(),
            maps: maps.filter(|id| self.maps.contains(id)).collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.programs.len() + self.links.len() + self.maps.len()
    }
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>, KernelError> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(KernelError::io("looking at", folder)(error)),
    };
    Ok(found.filter_map(|entry| Some(entry.ok()?.path())).collect())
}
