//! Programs of others that decide where sockets connect, as socket load balancers do.

use std::{collections::BTreeSet, fmt, fs, os::fd::AsFd as _, path::Path};

use super::{KernelError, PROGRAMS, Pins, object::SOCKET_HOOKS, sys};

/// A program of somebody else's at a hook that steer decides at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Beside {
    /// Its number.
    pub program: u32,
    /// The name that it was loaded with; empty if it has none.
    pub name: String,
    /// The hook, as sections of object files spell it.
    pub hook: &'static str,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program,
            name,
            hook,
        } = self;
        match name.as_str() {
            "" => write!(f, "program {program} at {hook}"),
            name => write!(f, "{name} (program {program}) at {hook}"),
        }
    }
}

/// The programs of others that run when sockets of these cgroups connect or send. A cgroup that is gone has
/// none.
pub fn beside<'a>(
    pins: &Pins,
    cgroups: impl IntoIterator<Item = &'a Path>,
) -> Result<Vec<Beside>, KernelError> {
    let own = own(pins);
    let mut found = BTreeSet::new();
    for path in cgroups {
        let Ok(cgroup) = fs::File::open(path) else {
            continue;
        };
        for (hook, attach_type) in SOCKET_HOOKS {
            let failed = |source| KernelError::Bpf {
                call: "PROG_QUERY",
                name: hook.to_owned(),
                source,
            };
            let all = sys::attached_programs(cgroup.as_fd(), attach_type).map_err(failed)?;
            let others = all.into_iter().filter(|program| !own.contains(program));
            found.extend(others.map(|program| (program, hook)));
        }
    }
    Ok(named(&found))
}

/// The numbers of steer's programs.
fn own(pins: &Pins) -> BTreeSet<u32> {
    let link = |name| {
        let link = sys::open_pin(&pins.link(name)).ok()?;
        Some(sys::link_info(link.as_fd()).ok()?.program_id)
    };
    PROGRAMS.into_iter().filter_map(link).collect()
}

fn named(found: &BTreeSet<(u32, &'static str)>) -> Vec<Beside> {
    if found.is_empty() {
        return Vec::new();
    }
    // One that is unloaded meanwhile has no name.
    let loaded: Vec<_> = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .collect();
    let name = |program| {
        let info = loaded.iter().find(|info| info.id() == program);
        info.and_then(|info| info.name_as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let found = found.iter().map(|&(program, hook)| Beside {
        program,
        name: name(program),
        hook,
    });
    found.collect()
}
